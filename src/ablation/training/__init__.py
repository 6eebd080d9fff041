"""Training: one run from its resolved settings to its files."""
