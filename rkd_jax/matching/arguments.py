"""Arguments that the doors share: which keypoints, and how a transform is fitted."""

import argparse

# Equal to `fit.CHOICES`, which is not imported so that --help needs no JAX.
FAMILIES = (
    *("auto", "homography", "radial", "quadratic", "radial_quadratic"),
    "thin_plate",
)


def add_network(parser: argparse.ArgumentParser) -> None:
    """Declare which keypoints: `weights`, `method`."""
    parser.add_argument(
        "--weights",
        metavar="NAME|FILE",
        help="weights: a name that comes with the package, or a .safetensors file",
    )
    parser.add_argument(
        "--method",
        choices=("network", "sift"),
        default="network",
        help="keypoints of the network (default) or of OpenCV's SIFT",
    )


def add_fit(parser: argparse.ArgumentParser) -> None:
    """Declare how it is fitted: `transform`, `estimator`, `guided`, `two_pass`."""
    parser.add_argument(
        "--transform",
        choices=FAMILIES,
        default="auto",
        help="family of transforms (default: auto, by held-out matches)",
    )
    parser.add_argument(
        "--estimator",
        choices=("magsac", "lmeds"),
        default="magsac",
        help="robust estimator (default: magsac; the papers use lmeds)",
    )
    parser.add_argument(
        "--guided",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="look for more matches near where a first fit expects them",
    )
    parser.add_argument(
        "--two_pass", action="store_true", help="warp, detect and match once more"
    )
