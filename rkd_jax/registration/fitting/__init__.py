"""Transforms from matches: the families, one a file, and the choice between them."""
