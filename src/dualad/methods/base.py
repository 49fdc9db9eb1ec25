"""The contract that every method meets: the dual autoencoder, controls and baselines."""

import json
import math
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from dualad.arrays import read_arrays, write_arrays
from dualad.data.dataset import Dataset
from dualad.data.plan import Plan, Seeds
from dualad.data.split import Split
from dualad.design.parameters import CommonParams
from dualad.files import reading, write_json, write_text

FloatArray = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_REPEAT_STRIDE = 1000
"""From one repeat's seed to the next: eq. 24's seeds, below 202, never meet."""
_FRESH_SEEDS = 2**31 - 10**6
"""Seeds fit in 31 bits, those of any repeat too."""
ARRAYS_FILE = "model.npz"
"""Name of the file of `save_arrays`."""


@dataclass(frozen=True)
class Experiment:
    """A dataset with its split and plan, and a folder for unfinished work."""

    dataset: Dataset
    split: Split
    plan: Plan
    work_dir: Path
    best: Mapping[str, Any] | None = None
    """What a hyperparameter search found (`best.json`), for families that have one."""
    network: Path | None = None
    """Folder of the fitted method whose network is used, for families that use one."""

    def seeds(self, params: CommonParams) -> Seeds:
        """The method's seeds: those of the plan (eq. 24), fixed ones, or newly drawn ones."""
        if params.seed == "dynamic":
            first = self.plan.seeds.numpy
        elif params.seed == "none":
            first = self._fresh_seed()
        else:
            first = params.seed
        return Seeds.fixed(first + _REPEAT_STRIDE * params.repeat)

    def _fresh_seed(self) -> int:
        """A seed from the operating system; a killed job that is resumed keeps its seed."""
        path = self.work_dir / "seed.txt"
        if not path.exists():
            write_text(path, f"{secrets.randbelow(_FRESH_SEEDS)}\n")
        with reading(path):
            return int(path.read_text())


@dataclass(frozen=True)
class FitReport:
    """What fitting leaves next to the model, as `fit.json`."""

    family: str
    n_parameters: int
    validation: list[int]
    """Dataset indices of the validation images. The model was fitted on none of them, or else the
    detector's `held_out` has their scores."""
    reconstruction_skill: float | None = None
    """1 - MSLE / MSLE of the mean image, on validation normals."""
    selected_attempt: int | None = None
    notes: list[str] = field(default_factory=list)
    """What a reader of a table has to know, such as "random features"."""
    seconds: float = 0.0
    """What fitting took. A detector leaves it 0, or returns what its network's training took, to
    which its own time is added."""
    peak_memory_mb: float = 0.0
    """Largest resident memory of the process that fitted."""
    image_size: int = 0
    """Side of the images, for scoring others."""
    color: bool = False
    """Whether the images are in colour, (S, S, 3), for scoring others."""
    depth_range: list[float] | None = None
    """Lowest and highest depth, scaled to [0.1, 1]; None unless the images are depth maps."""
    value_range: list[float] | None = None
    """The values that became 0 and 1 in images of more than 8 bits, if a range was measured."""

    def write(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, vars(self))

    @classmethod
    def read(cls, path: Path) -> "FitReport":
        """Read what `write` wrote, also by an earlier version, which knew fewer fields.

        Raises
        ------
        OSError
            If the file is missing.
        ValueError, TypeError
            If it is damaged, or has fields that are not known.
        """
        report = cls(**json.loads(path.read_text(encoding="utf-8")))
        counts = [report.n_parameters, report.image_size, *report.validation]
        if not all(type(count) is int and 0 <= count < 2**63 for count in counts):
            raise TypeError("n_parameters, image_size and validation are whole numbers from 0 on")
        numbers = [report.seconds, report.peak_memory_mb, report.reconstruction_skill or 0.0]
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError("seconds, peak_memory_mb and reconstruction_skill are finite")
        if type(report.color) is not bool:
            raise TypeError("color is true or false")
        if type(report.notes) is not list or not all(isinstance(n, str) for n in report.notes):
            raise TypeError("notes are a list of texts")
        ranges = (report.depth_range, report.value_range)
        for ends in (ends for ends in ranges if ends is not None):
            low, high = map(float, ends)
            if not -math.inf < low < high < math.inf:
                raise ValueError(f"{ends} is no range")
        return report


@dataclass(frozen=True)
class Scored:
    """Scores and maps of n images; higher is more anomalous everywhere."""

    scores: Mapping[str, Floats]
    """(n,) per name of a score."""
    maps: Mapping[str, FloatArray] = field(default_factory=dict)
    """(n, h, w) per name of a score."""
    mc_mean: Mapping[str, Floats] = field(default_factory=dict)
    mc_var: Mapping[str, Floats] = field(default_factory=dict)
    """(n,) each: mean and variance over Monte Carlo dropout samples (eqs. 31, 32)."""
    reconstruction: npt.NDArray[np.floating] | None = None
    """(n, S, S)."""

    @classmethod
    def join(cls, parts: "Sequence[Scored]") -> "Scored":
        """Scores and maps of the images of all parts, in order."""

        def named(attribute: str) -> dict[str, Any]:
            batches = [getattr(part, attribute) for part in parts]
            return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}

        reconstructions = [part.reconstruction for part in parts if part.reconstruction is not None]
        return cls(
            scores=named("scores"),
            maps=named("maps"),
            mc_mean=named("mc_mean"),
            mc_var=named("mc_var"),
            reconstruction=np.concatenate(reconstructions) if reconstructions else None,
        )


class Detector(ABC):
    """Fit on normal training images; score any image.

    Parameters
    ----------
    params : CommonParams
        Of the family's own class in `dualad.design.families.FAMILIES`.
    """

    family: ClassVar[str]
    scoring_batch: int = 512
    """Images that `score` gets at a time."""
    least_training_images: int = 1
    """Number of normal images below which the method cannot be fitted."""

    def __init__(self, params: Any) -> None:
        self.params = params

    @property
    def default_score(self) -> str:
        """Name of the score that decides."""
        return self.family

    @property
    def held_out(self) -> Mapping[int, float]:
        """Scores of the validation images that fitting saw, by models that did not see them.

        By dataset index, under the name of the default score and on its scale. They take the place
        of what `score` says, because threshold and calibrator are fitted on them. Empty for a
        detector that was fitted on training images only.
        """
        return {}

    @abstractmethod
    def fit(self, experiment: Experiment) -> FitReport:
        """Fit on the training images that the experiment's split gives."""

    @abstractmethod
    def score(self, images: FloatArray) -> Scored:
        """Score float32 images in [0, 1], (n, S, S), or (n, S, S, 3) for a method that sees colour.

        An image's scores may not depend on which others come with it.
        """

    def scores(self, images: FloatArray) -> Mapping[str, Floats]:
        """The scores of `score` alone, (n,) by name; a detector may have a shorter way to them."""
        return self.score(images).scores

    def saliency(self, images: FloatArray) -> FloatArray | None:
        """How much each pixel matters (eq. 35), (n, S, S), for images that are drawn.

        None for a detector that cannot say.
        """
        return None

    def restart_draws(self) -> None:
        """Let random draws of `score` begin as they do after loading, for a method that has any."""
        # Most methods draw nothing when they score.
        return

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model, and what else fitting found, under the family's file names."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, params: Any) -> Self:
        """Read what `save` wrote."""


def reconstruction_scores(name: str, images: FloatArray, reconstruction: FloatArray) -> Scored:
    """Squared error of every pixel, and its root sum over the image, under a score's name.

    Parameters
    ----------
    name : str
        Name of the score and of its maps.
    images, reconstruction : float32 arrays (n, S, S) in [0, 1]
    """
    maps = np.square(reconstruction - images)
    scores = np.sqrt(maps.sum(axis=(1, 2), dtype=np.float64))
    return Scored({name: scores}, maps={name: maps}, reconstruction=reconstruction)


def save_arrays(detector: Detector, names: Sequence[str], folder: Path) -> None:
    """Write attributes of a detector to `model.npz` in its folder."""
    write_arrays(folder / ARRAYS_FILE, {name: getattr(detector, name) for name in names})


def load_arrays(detector: Detector, names: Sequence[str], folder: Path) -> None:
    """Set attributes of a detector to what `save_arrays` wrote.

    Raises
    ------
    DualadError
        If the file is missing or damaged, or one of the arrays is not in it.
    """
    for name, array in read_arrays(folder / ARRAYS_FILE, names).items():
        setattr(detector, name, array)
