"""Configuration -> a graph of jobs, and pages of cells. Planning imports no torch."""
