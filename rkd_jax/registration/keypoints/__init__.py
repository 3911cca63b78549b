"""Where keypoints come from: a trained network, or SIFT."""
