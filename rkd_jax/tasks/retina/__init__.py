"""Keypoints of retinal photographs: detector, descriptor, distillation."""
