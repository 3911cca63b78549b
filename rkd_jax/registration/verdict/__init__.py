"""Whether a transform is right: evidence and confidence."""
