"""From keypoints to a registration: matching, fitting, judging, drawing."""
