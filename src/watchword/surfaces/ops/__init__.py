"""What operators and their machines ask for: probes, metrics, the index page."""
