"""Experiments; in a wheel, `rkd_jax.configs`."""
