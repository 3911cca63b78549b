"""rkd_jax: retinal keypoints, matching and registration in JAX."""
