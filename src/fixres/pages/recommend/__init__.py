"""The page about a custom network: what to test it at, and what fixing it gains."""
