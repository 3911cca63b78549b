"""Packaging of rkd_jax. `pip install -e .` gives the CPU build; see extras below."""

import pathlib

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent

TEST = ["pytest>=8.0", "hypothesis>=6.100", "pytest-xdist>=3.5"]

setup(
    name="rkd_jax",
    version="0.2.0",
    description=(
        "Retinal image keypoints, matching and registration in JAX, trained by "
        "reverse knowledge distillation"
    ),
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["rkd_jax", "rkd_jax.*"]),
    package_data={
        "rkd_jax": [
            "py.typed",
            "weights/*.safetensors",
            "weights/*.md",
            "matching/*.json",
        ]
    },
    install_requires=[
        "absl-py>=2.1",
        "array_record>=0.6",
        "chex>=0.1.89",
        "flax>=0.12.2",
        "grain>=0.2.12",
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
