"""What in a workload's manifest cuts streams at an update: one file a theme, `rules.py` has the table."""
