"""Classify photographs: probabilities of classes, and how unusual an image is."""
