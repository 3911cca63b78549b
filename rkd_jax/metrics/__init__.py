"""Scores of arrays, in NumPy alone: `fire`, `landmarks` of faces, `registration`."""
