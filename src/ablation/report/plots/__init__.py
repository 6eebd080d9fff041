"""Plot functions of the report: from tidy tables to matplotlib figures.

Every function takes rows of one experiment and one data set. `style.save` writes the figure.
"""
