"""The files that a job writes for other jobs: each has one reader and one writer."""
