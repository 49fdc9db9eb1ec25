"""Use a finished detector from Python: `load_detector`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from dualad.deployment.archive import method_files
from dualad.deployment.decoding import Problems, decoded_batches
from dualad.deployment.fitted import FittedMethod
from dualad.deployment.given import GivenImage, Images, given_images
from dualad.design.families import FAMILIES
from dualad.errors import DualadError
from dualad.evaluation.agreement import remarks, threshold_probability
from dualad.evaluation.decisions import apply_threshold
from dualad.evaluation.drift import NormalImages, grouped, measure_drift
from dualad.evaluation.maps import resized_maps
from dualad.figures.heat import HeatScale
from dualad.files import unreadable
from dualad.methods.base import Detector, FloatArray, Floats, Scored
from dualad.methods.jobs import applying, family_class
from dualad.runtime import Runtime, fix_pool_sizes, join_tensorflow


def load_detector(
    path: str | Path, *, threads: int = 2, gpu: int = 0, gpu_memory_mb: int = 5600
) -> "LoadedDetector":
    """Load a finished detector.

    A process that has imported TensorFlow before keeps its own settings of threads and devices;
    otherwise they are set here, once.

    Parameters
    ----------
    path
        A method's folder in the result tree, such as `results/parts/padim`; a dataset's, such as
        `results/parts`, for its recommended method; or a file that `dualad export` wrote.
    threads
        Size of the thread pools, at least 1. The last digits of scores may depend on it; the
        default is that of `dualad score` and of the workflow.
    gpu
        0 for the CPU, 1 for the first GPU.
    gpu_memory_mb
        Most memory of the GPU to use, in MiB.

    Raises
    ------
    DualadError
        If the results are incomplete, or a file is damaged, foreign, or of a newer version.
    """
    return LoadedDetector.read(Path(path), Runtime(threads, threads, gpu, gpu_memory_mb))


class LoadedDetector:
    """A fitted method with its threshold; `load_detector` makes one.

    Attributes
    ----------
    fitted : FittedMethod
        Its parameters, its `fit.json` and its `threshold.json`.
    """

    def __init__(self, fitted: FittedMethod, detector: Detector) -> None:
        self.fitted = fitted
        self._detector = detector

    @classmethod
    def read(cls, path: Path, runtime: Runtime) -> Self:
        """Load from a results folder or an exported file; as `load_detector`."""
        with method_files(path) as folder:
            loaded = cls._from_folder(folder, runtime)
            if path.is_file():
                # While the files are there.
                _ = loaded.heat_scale, loaded.normal_images
            return loaded

    @classmethod
    def _from_folder(cls, folder: Path, runtime: Runtime) -> Self:
        fitted = FittedMethod.read(folder)
        family = fitted.method.family
        if FAMILIES[family].uses_tensorflow:
            join_tensorflow(runtime)
        else:
            fix_pool_sizes(runtime.threads)
        return cls(fitted, family_class(family).load(folder, fitted.method.params))

    @cached_property
    def normal_images(self) -> NormalImages | None:
        """Simple statistics of the validation normals; None where their dataset is not at hand.

        Raises
        ------
        DualadError
            If the file that tells them is damaged.
        """
        return self.fitted.normal_images()

    @cached_property
    def heat_scale(self) -> HeatScale | None:
        """What the values of `heatmaps` mean in the method's own maps; None if it has no maps.

        Raises
        ------
        DualadError
            If the files by which the colours are scaled are missing or damaged.
        """
        return self.fitted.heat_scale()

    def score(self, images: Images, base_rate: float | None = None) -> pd.DataFrame:
        """Score images and decide which are anomalous.

        Parameters
        ----------
        images
            As for `dualad.deployment.given.given_images`: an array (n, H, W) or (n, H, W, c), a
            sequence of arrays, a folder, a file, or a sequence of files. Values are uint8,
            uint16, int16 or floating-point in [0, 1], or coordinates for a detector of depth, and
            read as those of image files are.
        base_rate
            Share of anomalies at which the probabilities hold, in (0, 1); None for that of the
            validation images. Decisions do not depend on it.

        Returns
        -------
        pandas.DataFrame
            A row per image with the columns that `dualad score` writes: among them `image`,
            `score`, `decision` (1 anomalous), `probability`, `uncertainty` (standard deviation of
            the score under dropout) and `p_value`; missing where the method has none.

        Raises
        ------
        DualadError
            If an image cannot be read or an array is ambiguous, which the message names; or if the
            base rate is refused (`check_base_rate`).
        """
        self.check_base_rate(base_rate)
        parts = [
            self.rows(batch, scored, base_rate)
            for batch, _, scored in self.scored_batches(given_images(images))
        ]
        return pd.concat(parts, ignore_index=True)

    def heatmaps(self, images: Images) -> FloatArray:
        """Heat of every pixel, the same scale for all images of a detector.

        Parameters
        ----------
        images
            As for `score`.

        Returns
        -------
        float32 array (n, S, S) in [0, 1]
            S is the side of the images as the detector sees them. 0 up to the median of the pixels
            in the maps of validation normals; 0.5 at their 99 % quantile, above which a pixel is
            called anomalous (`dualad.figures.heat.HeatScale`).

        Raises
        ------
        DualadError
            As for `score`; and if the method has no maps.
        """
        scale = self.heat_scale
        if scale is None:
            raise DualadError(f"{self.fitted.folder}: this method has no anomaly maps")
        side = self.fitted.report.image_size
        parts = [
            scale.heat(resized_maps(scored.maps[self.fitted.score], (side, side)))
            for _, _, scored in self.scored_batches(given_images(images))
        ]
        return np.concatenate(parts)

    def drift(self, images: Images) -> dict[str, Any]:
        """Compare images as a whole with the validation normals.

        Parameters
        ----------
        images
            As for `score`.

        Returns
        -------
        dict
            As `dualad.evaluation.drift.measure_drift`; its `warning` says in words how they differ,
            and is empty if they do not.

        Raises
        ------
        DualadError
            As for `score`.
        """
        parts = [
            self.measured(pixels, scored)
            for _, pixels, scored in self.scored_batches(given_images(images))
        ]
        return self.compared(parts)

    def measured(self, pixels: FloatArray, scored: Scored) -> dict[str, Floats]:
        """Score, and simple statistics where they can be compared, of the images of a batch."""
        normals = self.normal_images
        scores = {"score": scored.scores[self.fitted.score]}
        return scores if normals is None else {**scores, **normals.statistics(pixels)}

    def compared(self, parts: Iterable[Mapping[str, Floats]]) -> dict[str, Any]:
        """Compare what `measured` found in all batches with the validation normals."""
        normals = self.normal_images
        reference = {"score": np.array(self.fitted.threshold.get("normal_scores", []))}
        if normals is not None:
            reference |= normals.values
        return measure_drift(reference, grouped(parts))

    def check_base_rate(self, base_rate: float | None) -> None:
        """Refuse a base rate that is no share, or one for a method without probabilities.

        Raises
        ------
        DualadError
            If it is refused.
        """
        if base_rate is None:
            return
        if not 0 < base_rate < 1:
            raise DualadError(
                f"base rate {base_rate:g}: give the share of anomalies, between 0 and 1, both "
                "excluded"
            )
        if threshold_probability(self.fitted.threshold) is None:
            raise DualadError(
                f"{self.fitted.folder}: its validation images were of one class, so it has no "
                "probabilities; leave the base rate out"
            )

    def scored_batches(
        self, images: Sequence[GivenImage], problems: Problems | None = None
    ) -> Iterator[tuple[list[GivenImage], FloatArray, Scored]]:
        """Images in batches, their pixels as the method sees them, and what it says of them.

        Parameters
        ----------
        images, problems
            As for `dualad.deployment.decoding.decoded_batches`.
        """
        self._detector.restart_draws()
        size = self._detector.scoring_batch
        for batch, pixels in decoded_batches(images, self.fitted, size, problems):
            with applying(self.fitted.folder):
                scored = self._detector.score(pixels)
            if self.fitted.score not in scored.scores:
                path = self.fitted.folder / "threshold.json"
                raise unreadable(path, f"the method has no score {self.fitted.score!r}")
            if not np.all(np.isfinite(scored.scores[self.fitted.score])):
                raise unreadable(self.fitted.folder, "the model gives scores that are not finite")
            yield batch, pixels, scored

    def rows(
        self, images: Sequence[GivenImage], scored: Scored, base_rate: float | None
    ) -> pd.DataFrame:
        """A row of `scores.csv` for every image of a batch."""
        score, threshold = self.fitted.score, self.fitted.threshold
        decided = apply_threshold(
            threshold,
            scored.scores[score],
            scored.mc_mean.get(score),
            scored.mc_var.get(score),
            base_rate=base_rate,
        )
        decided.insert(0, "image", [image.name for image in images])
        decided.insert(4, "uncertainty", np.sqrt(decided["mc_var"]))
        decided.insert(5, "threshold_probability", threshold_probability(threshold, base_rate))
        decided.insert(6, "remark", remarks(threshold, decided, base_rate))
        return decided
