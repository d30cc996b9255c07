"""Agreement of two sides of the books."""
