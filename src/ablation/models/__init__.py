"""Residual and plain networks, their weights and their cost."""
