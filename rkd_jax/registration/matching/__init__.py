"""Which keypoints belong together: nearest, guided, refined."""
