"""Pre-training of the Swin encoder."""
