"""Studies: the study file, its grid of runs, comparisons and rubrics."""
