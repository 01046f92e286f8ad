"""Every file that one job writes and another reads: one reader and one writer each."""
