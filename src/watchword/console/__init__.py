"""Pages for people: the demonstration of the CIAM dialect, and what they are made of."""
