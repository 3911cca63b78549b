"""Scores in NumPy alone: `fire` (the benchmark) and `registration` (embedded pairs)."""
