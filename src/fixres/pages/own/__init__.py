"""The page about a network of one's own: what to test it at, and what fixing it gains."""
