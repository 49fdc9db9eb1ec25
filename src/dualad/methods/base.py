"""The contract that every method meets, ours, a control or a baseline."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from dualad.data import Dataset
from dualad.params import CommonParams
from dualad.plan import Plan, Seeds
from dualad.split import Split

FloatArray = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Experiment:
    """The data side of dataset x method, and where unfinished work may be kept."""

    dataset: Dataset
    split: Split
    plan: Plan
    work_dir: Path
    best: Mapping[str, Any] | None = None
    """What a hyperparameter search found (`best.json`), for families that have one."""

    def seeds(self, params: CommonParams) -> Seeds:
        """The method's seeds: the plan's (eq. 24), or fixed ones."""
        return self.plan.seeds if params.seed == "dynamic" else Seeds.fixed(params.seed)


@dataclass(frozen=True)
class FitReport:
    """What fitting leaves beside the model: `fit.json`."""

    family: str
    n_parameters: int
    validation: list[int]
    """Dataset indices of the validation images, none of which the model was fitted on."""
    reconstruction_skill: float | None = None
    """1 - MSLE / MSLE of the mean image, on validation normals."""
    selected_attempt: int | None = None
    notes: list[str] = field(default_factory=list)
    """What a reader of a table has to know, such as "random features"."""
    seconds: float = 0.0
    image_size: int = 0
    """Side of the images, for scoring others."""
    depth_range: list[float] | None = None
    """What of the depth maps' coordinates was scaled to [0.1, 1], if they were depth maps."""

    def write(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(vars(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> "FitReport":
        """Read what `write` wrote."""
        return cls(**json.loads(path.read_text()))


@dataclass(frozen=True)
class Scored:
    """What a detector says of n images; higher is more anomalous everywhere."""

    scores: Mapping[str, Floats]
    """(n,) per name of a score."""
    maps: Mapping[str, FloatArray] = field(default_factory=dict)
    """(n, h, w) per name of a score."""
    mc_mean: Mapping[str, Floats] = field(default_factory=dict)
    mc_var: Mapping[str, Floats] = field(default_factory=dict)
    """(n,) each: mean and variance over Monte Carlo dropout samples (eqs. 31, 32)."""
    reconstruction: npt.NDArray[np.floating] | None = None
    saliency: npt.NDArray[np.floating] | None = None
    """(n, S, S) each."""

    @classmethod
    def join(cls, parts: "Sequence[Scored]") -> "Scored":
        """The same for all images of `parts`, in order."""

        def named(field_name: str) -> dict[str, Any]:
            every = [getattr(part, field_name) for part in parts]
            return {key: np.concatenate([one[key] for one in every]) for key in every[0]}

        def images(field_name: str) -> npt.NDArray[np.floating] | None:
            every = [getattr(part, field_name) for part in parts]
            return None if every[0] is None else np.concatenate(every)

        return cls(
            scores=named("scores"),
            maps=named("maps"),
            mc_mean=named("mc_mean"),
            mc_var=named("mc_var"),
            reconstruction=images("reconstruction"),
            saliency=images("saliency"),
        )


class Detector(ABC):
    """Fit on normal training images; score any image.

    Parameters
    ----------
    params : CommonParams
        Of the family's own class in `dualad.params.FAMILIES`.
    """

    family: ClassVar[str]

    def __init__(self, params: Any) -> None:
        self.params = params

    @property
    def default_score(self) -> str:
        """Name of the score that decides."""
        return self.family

    @abstractmethod
    def fit(self, experiment: Experiment) -> FitReport:
        """Fit on the training images that the experiment's split gives."""

    @abstractmethod
    def score(self, images: FloatArray) -> Scored:
        """Score float32 images (n, S, S) in [0, 1]."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model, and what else fitting found, under the family's file names."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, params: Any) -> Self:
        """Read what `save` wrote."""
