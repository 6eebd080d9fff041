"""Progress: what a study will take, and how far it is, told before and while it runs."""
