"""The report: what all verdicts add up to over a window of time, and every definition behind it."""
