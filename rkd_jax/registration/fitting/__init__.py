"""The families of `rkd_jax.registration.fitting.fit`, one a file, and the choice between them."""
