"""Data for training: sources, the order of examples, batches, TFDS builders."""
