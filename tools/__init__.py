"""Tools for the command line; some of them are `rkd_jax.tools` in a wheel."""
