"""Photographs: read, prepare, find the field of view."""
