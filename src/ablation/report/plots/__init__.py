"""The report's figures: each a function from tidy tables to a matplotlib Figure.

Every function gets rows of one experiment and one data set. `style.save` writes what it returns.
"""
