"""The report: findings, tables and figures as one HTML page and one Markdown file."""
