"""What a study asks for: its file, its grid of runs, their settings and identities."""
