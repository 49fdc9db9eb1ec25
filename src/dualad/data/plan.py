"""Seeds and batch size that follow from the number of images (section 3.3, eqs. 24 and 25)."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from dualad.errors import DualadError
from dualad.files import read_as

SEED_MODULUS = 200
REGIME_BOUNDARY = 6300
"""Largest number of images to which eq. 25's first line applies."""


@dataclass(frozen=True)
class Seeds:
    """One seed per random number generator."""

    numpy: int
    tensorflow: int
    python: int

    @classmethod
    def dynamic(cls, n_images: int) -> "Seeds":
        """Seeds (N mod 200) + k of eq. 24, in the order of the paper's pseudocode."""
        return cls.fixed(n_images % SEED_MODULUS)

    @classmethod
    def fixed(cls, seed: int) -> "Seeds":
        """Seeds `seed`, `seed + 1`, `seed + 2` for NumPy, TensorFlow, Python's `random`."""
        return cls(seed, seed + 1, seed + 2)


@dataclass(frozen=True)
class Plan:
    """What the size of a dataset decides before anything is trained."""

    n_images: int
    """All images of the dataset, whatever their label or split: eqs. 24 and 25's N."""
    n_train_pool: int
    """Normal images that may be trained on: the largest batch there can be."""
    seeds: Seeds
    formula_value: float
    """Eq. 25 as it stands, neither floored nor clamped; it can be negative."""
    batch_size: int
    regime: Literal["small", "large"]
    """Which line of eq. 25 applied: N <= 6300 is `small`."""
    clamped: bool
    """Whether eq. 25, floored, fell outside [1, n_train_pool]."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `plan.json` holds them."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Plan":
        """Inverse of `to_json`; a `ValueError` for numbers that no plan has."""
        plan = cls(**{**values, "seeds": Seeds(**values["seeds"])})
        seeds = (plan.seeds.numpy, plan.seeds.tensorflow, plan.seeds.python)
        if not all(type(number) is int and number >= 0 for number in seeds):
            raise ValueError("seeds are whole numbers from 0 on")
        if not (type(plan.batch_size) is int and plan.batch_size > 0):
            raise ValueError("a batch has one image or more")
        return plan

    @classmethod
    def read(cls, path: Path) -> "Plan":
        """Read `plan.json`; a `DualadError` if it is missing or damaged."""
        return read_as(path, cls.from_json)


def adaptive_batch_size(n_images: int) -> float:
    """Eq. 25 with the natural logarithm, neither floored nor clamped.

    Parameters
    ----------
    n_images
        Number of images of the dataset, at least 1.

    Returns
    -------
    float
        The formula's value: negative below 23 images and above 74,057.
    """
    if n_images <= REGIME_BOUNDARY:
        return -0.0045 * n_images + 19.3299 * math.log(n_images) - 59.7382
    return 444.1692 * math.log(n_images) - 0.0174 * n_images - 3691.6901


def make_plan(n_images: int, n_train: int) -> Plan:
    """Seeds and batch size for a dataset.

    Parameters
    ----------
    n_images
        Number of all images of the dataset.
    n_train
        Number of normal images that may be trained on.

    Raises
    ------
    DualadError
        If there is no image, or none to train on.
    """
    if n_images < 1 or n_train < 1:
        raise DualadError(
            f"cannot plan for {n_images} images with {n_train} normal training images; "
            "add normal images to the dataset's training folder"
        )
    value = adaptive_batch_size(n_images)
    floored = math.floor(value)
    batch_size = min(max(floored, 1), n_train)
    return Plan(
        n_images=n_images,
        n_train_pool=n_train,
        seeds=Seeds.dynamic(n_images),
        formula_value=value,
        batch_size=batch_size,
        regime="small" if n_images <= REGIME_BOUNDARY else "large",
        clamped=batch_size != floored,
    )
