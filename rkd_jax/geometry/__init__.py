"""Coordinates and transforms of points and images.

`radial` and `resize` serve NumPy and JAX and import neither. In JAX alone:
`homography` and `affine` (matrices), `deformation` (maps that bend), `warp` (images).
"""
