"""Benchmarks: what they read, and how they score."""
