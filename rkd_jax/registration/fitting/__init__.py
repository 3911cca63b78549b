"""The families of `rkd_jax.matching.fit`, one a file, and the choice between them."""
