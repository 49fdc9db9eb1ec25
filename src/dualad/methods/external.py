"""A method of the user's own, in a file outside the package."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dualad.design.parameters import ExternalParams
from dualad.errors import DualadError
from dualad.methods.base import Detector, Experiment, FitReport, FloatArray, Floats, Scored


class External(Detector):
    """Hands everything on to the class that `params.module` and `params.class_name` name.

    Raises
    ------
    DualadError
        If there is no such file or class, or the class is no `Detector`.
    """

    family = "external"
    params: ExternalParams

    def __init__(self, params: ExternalParams) -> None:
        super().__init__(params)
        self._own: Detector = _own_class(params)(params)
        self.scoring_batch = self._own.scoring_batch
        self.least_training_images = self._own.least_training_images

    @property
    def default_score(self) -> str:
        return self._own.default_score

    def fit(self, experiment: Experiment) -> FitReport:
        return self._own.fit(experiment)

    def score(self, images: FloatArray) -> Scored:
        return self._own.score(images)

    def scores(self, images: FloatArray) -> Mapping[str, Floats]:
        return self._own.scores(images)

    def saliency(self, images: FloatArray) -> FloatArray | None:
        return self._own.saliency(images)

    def restart_draws(self) -> None:
        self._own.restart_draws()

    def save(self, folder: Path) -> None:
        self._own.save(folder)

    @classmethod
    def load(cls, folder: Path, params: ExternalParams) -> Self:
        detector = cls(params)
        detector._own = _own_class(params).load(folder, params)
        return detector


def _own_class(params: ExternalParams) -> type[Detector]:
    path = Path(params.module).expanduser()
    if not path.is_file():
        raise DualadError(
            f"module: {params.module!r} is no file in {Path.cwd()}; name the file of your method, "
            "and run from the folder of the workflow if its path is relative"
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise DualadError(f"module: {path} is no Python file; its name has to end in .py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Any = getattr(module, params.class_name, None)
    if not (isinstance(found, type) and issubclass(found, Detector)):
        raise DualadError(
            f"{path}: no class {params.class_name} derived from dualad.methods.base.Detector; "
            "correct `class_name` or the class"
        )
    return found
