"""What holds whatever the wire or the disk: the rules of a code, pure."""
