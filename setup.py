"""Packaging of rkd_jax: what each command needs is an extra; `all` is all of them."""

import pathlib
import re
import runpy

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = runpy.run_path(str(HERE / "rkd_jax" / "version.py"))["__version__"]

# What `register` and the losses import.
BASE = [
    "flatbuffers>=24",  # jax.export writes traced programs by it
    "flax>=0.12.2",
    "jax>=0.8",
    "numpy>=2.0",
    "opencv-python-headless>=4.10",
    "pillow>=10.3",
    "safetensors>=0.5",
    "scipy>=1.13",
    "tqdm>=4.66",
]
# What only some commands import: rkd_jax/runtime/extras.py names the modules.
COMMANDS = {
    "train": [
        "absl-py>=2.1",
        "grain>=0.2.12",
        "ml_collections>=1.0",
        "optax>=0.2.6",
        "orbax-checkpoint>=0.11.20",
        "tensorboardX>=2.6.2",
    ],
    "data": ["scikit-image>=0.24", "tensorflow-datasets>=4.9.8"],
    "evaluate": ["matplotlib>=3.9", "scikit-learn>=1.4"],
    "cluster": ["distributed>=2025.1"],
}
ALL = sorted({package for packages in COMMANDS.values() for package in packages})
TEST = [
    "chex>=0.1.89",
    "hypothesis>=6.100",
    "pytest>=8.0",
    "pytest-xdist>=3.5",
    "scikit-learn>=1.4",  # its scores of probability maps
    "setuptools>=77",
    "SimpleITK>=2.4",  # draws by the displacement field that `--export itk` writes
]
DOCS = ["mkdocs-material>=9.5", "mkdocstrings[python]>=0.27"]


def read_me() -> str:
    """Return README.md without the links that only a clone can follow."""
    text = (HERE / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"!\[[^]]*\]\((?!https?:)[^)]*\)\n*", "", text)
    return re.sub(r"\[([^]]*)\]\((?!https?:|#)[^)]*\)", r"\1", text)


setup(
    name="rkd_jax",
    version=VERSION,
    description=(
        "Retinal image keypoints, matching and registration in JAX, trained by "
        "reverse knowledge distillation"
    ),
    long_description=read_me(),
    long_description_content_type="text/markdown",
    author="The rkd_jax authors",
    license="Apache-2.0",
    keywords=[
        *("fundus", "image registration", "image matching", "jax", "keypoints"),
        *("knowledge distillation", "ophthalmology", "retina"),
    ],
    project_urls={
        "Paper": "https://arxiv.org/abs/2307.10698",
        "SuperRetina": "https://github.com/ruc-aimc-lab/SuperRetina",
    },
    python_requires=">=3.11",
    packages=[*find_packages(include=["rkd_jax", "rkd_jax.*"]), "rkd_jax.configs"],
    package_dir={"rkd_jax.configs": "configs"},
    entry_points={"console_scripts": ["rkd-jax=rkd_jax.__main__:main"]},
    package_data={
        "rkd_jax": [
            "py.typed",
            "pretrained/*.safetensors",
            "pretrained/*.md",
            "registration/expected_error/*.json",
            "registration/verdict/*.json",
        ]
    },
    install_requires=BASE,
    extras_require={
        **COMMANDS,
        "all": ALL,
        "cuda": ["jax[cuda]>=0.8"],
        "tpu": ["jax[tpu]>=0.8"],
        "torch": ["torch>=2.4", "monai==1.6.1"],
        "test": TEST,
        "docs": DOCS,
        "dev": [*ALL, *TEST, *DOCS, "basedpyright>=1.30", "mypy>=1.15", "ruff>=0.8"],
    },
    classifiers=[
        "Intended Audience :: Healthcare Industry",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Image Processing",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
        "Typing :: Typed",
    ],
)
