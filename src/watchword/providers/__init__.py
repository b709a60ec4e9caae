"""Those who carry messages, one file each."""
