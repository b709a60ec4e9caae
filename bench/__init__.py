"""What watchword costs: `scripts/bench`, explained in docs/performance.md."""
