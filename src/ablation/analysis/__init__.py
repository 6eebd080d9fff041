"""Analysis: from the files of the runs to tables and findings."""
