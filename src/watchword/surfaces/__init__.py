"""The wires: one folder a dialect, and what dialects share. A surface decides nothing."""
