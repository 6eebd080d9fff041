"""Progress of a study: its state, and estimates of time, disk space and sensitivity."""
