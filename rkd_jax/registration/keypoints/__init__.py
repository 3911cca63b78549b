"""Keypoints that need no network: SIFT and its points."""
