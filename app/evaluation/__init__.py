"""Asks the questions of a dataset again and says how many answers pass."""
