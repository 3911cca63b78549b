"""Packaging of rkd_jax. `pip install -e .` gives the CPU build; see extras below."""

import pathlib
import runpy

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).parent
VERSION = runpy.run_path(str(HERE / "rkd_jax" / "version.py"))["__version__"]

TEST = [
    "chex>=0.1.89",
    "hypothesis>=6.100",
    "pytest>=8.0",
    "pytest-xdist>=3.5",
    "setuptools>=77",
]
# The tools that are of use without a clone; the others measure and make what is in it.
TOOLS = ("convert_weights", "label_junctions")


class BuildWithTools(build_py):
    """Put some of the tools into the package."""

    def find_package_modules(
        self, package: str, package_dir: str
    ) -> list[tuple[str, str, str]]:
        """Return the modules of a package, of `rkd_jax.tools` those in `TOOLS`."""
        modules = super().find_package_modules(package, package_dir)
        return [m for m in modules if package != "rkd_jax.tools" or m[1] in TOOLS]


setup(
    name="rkd_jax",
    version=VERSION,
    description=(
        "Retinal image keypoints, matching and registration in JAX, trained by "
        "reverse knowledge distillation"
    ),
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[
        *find_packages(include=["rkd_jax", "rkd_jax.*"]),
        *("rkd_jax.configs", "rkd_jax.tools"),
    ],
    package_dir={"rkd_jax.configs": "configs", "rkd_jax.tools": "tools"},
    cmdclass={"build_py": BuildWithTools},
    entry_points={"console_scripts": ["rkd-jax=rkd_jax.__main__:main"]},
    package_data={
        "rkd_jax": [
            "py.typed",
            "pretrained/*.safetensors",
            "pretrained/*.md",
            "registration/verdict/*.json",
        ]
    },
    install_requires=[
        "absl-py>=2.1",
        "flax>=0.12.2",
        "grain>=0.2.12",
        "flatbuffers>=24",  # for jax.export: runtime/traced.py
        "jax>=0.8",
        "ml_collections>=1.0",
        "numpy>=2.0",
        "opencv-python-headless>=4.10",
        "optax>=0.2.6",
        "orbax-checkpoint>=0.11.20",
        "pillow>=10.3",
        "safetensors>=0.5",
        "scikit-image>=0.24",
        "scipy>=1.13",
        "tensorboardX>=2.6.2",
        "tensorflow-datasets>=4.9.8",
        "tqdm>=4.66",
    ],
    extras_require={
        "cuda": ["jax[cuda]>=0.8"],
        "tpu": ["jax[tpu]>=0.8"],
        "test": TEST,
        "torch": ["torch>=2.4", "monai==1.6.1"],
        "dev": [*TEST, "ruff>=0.8"],
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
)
