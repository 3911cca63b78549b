"""Scores in NumPy alone: `fire` (benchmark) and `registration` (synthetic pairs)."""
