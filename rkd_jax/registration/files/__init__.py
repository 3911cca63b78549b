"""Pairs, landmarks and results in files."""
