"""Package metadata. Ranges are wide for those who bring their own environment; requirements.txt pins."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (ROOT / "moleblend_plugin" / "version.py").read_text(encoding="utf-8"), re.M
)
if VERSION is None:
    raise SystemExit('error: moleblend_plugin/version.py has no line __version__ = "..."; add it')

TENSORBOARD = ["tensorboard>=2.10"]
PARQUET = ["pyarrow>=14"]
TEST = [*PARQUET, "pytest>=7.4", "pytest-xdist>=3.3", "hypothesis>=6.80", "ogb>=1.3.5"]
DEV = [*TENSORBOARD, *TEST, "ruff>=0.6", "mypy>=1.8"]

setup(
    name="moleblend_plugin",
    version=VERSION.group(1),
    description="MoleBLEND for Uni-Core: pretrain and fine-tune on blended 2D/3D atom relations",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The moleblend_plugin authors",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["moleblend_plugin", "moleblend_plugin.*"]),
    package_data={"moleblend_plugin": ["py.typed"]},
    install_requires=[
        "lightning-fabric>=2.2",
        "lmdb>=1.4.1",
        "matplotlib>=3.7",
        "msgpack>=1.0.5",
        "numba>=0.59",
        "numpy>=1.24",
        "pillow>=9.4",
        "rdkit>=2023.9.1",
        "rich>=13.0",
        "scikit-learn>=1.4",
        "scipy>=1.9.2",
        "torch>=2.5",
        "typer>=0.12",
    ],
    extras_require={"tensorboard": TENSORBOARD, "parquet": PARQUET, "test": TEST, "dev": DEV},
    entry_points={
        "console_scripts": [
            "moleblend = moleblend_plugin.cli.main:main",
            "moleblend-train = moleblend_plugin.trainer.main:main",
        ]
    },
    classifiers=[
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Chemistry",
        "Typing :: Typed",
    ],
)
