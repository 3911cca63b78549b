"""Keypoint labels from vessel masks: skeleton, junctions, mask files."""
