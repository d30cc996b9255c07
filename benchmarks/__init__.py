"""Measurements: commands that print numbers and ratios; no test waits for them."""
