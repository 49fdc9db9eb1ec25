"""The one evaluator: from any method's predictions to decisions, probabilities and metrics.

Threshold, calibrator and lambda are fitted on the validation images' labels; those of the test set
are read afterwards, for the metrics alone.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from dualad.data.dataset import Dataset
from dualad.data.split import Split
from dualad.design.parameters import CommonParams, MonteCarloParams, ThresholdParams
from dualad.errors import DualadError
from dualad.evaluation.agreement import agreement
from dualad.evaluation.bootstrap import Interval, Resampling
from dualad.evaluation.calibration import fit_calibrator
from dualad.evaluation.decisions import apply_threshold, combined_score
from dualad.evaluation.intervals import image_intervals
from dualad.evaluation.maps import resized_maps
from dualad.evaluation.metrics import Judgement, confusion_counts, image_metrics
from dualad.evaluation.pixel_metrics import PIXEL_METRICS, PixelStatistics, sample_pixels
from dualad.evaluation.predictions import Predictions, open_predictions, read_predictions
from dualad.evaluation.shift import score_shift
from dualad.evaluation.thresholds import choose_threshold
from dualad.files import write_json, write_text

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

_MAPS_AT_ONCE = 64


def evaluate(
    dataset_path: Path | str,
    split_path: Path | str,
    predictions_path: Path | str,
    params: CommonParams,
    method_name: str,
    out_dir: Path | str,
    *,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    ece_bins: int = 10,
    fpr_limit: float = 0.3,
) -> None:
    """Evaluate a method on a dataset and write its three result files.

    Equal inputs give equal bytes. Nothing is written unless everything could be computed.

    Parameters
    ----------
    dataset_path, split_path, predictions_path
        `dataset.h5`, `split.json` and `predictions.h5`.
    params
        The method's parameters: threshold rule, calibrator, and where it has them score and
        candidates for lambda.
    method_name
        Its name in the configuration.
    out_dir
        Folder of the files to write: `scores.csv`, `threshold.json` and `metrics.json`.
        `docs/reading-the-results.md` describes their columns and keys.
    bootstrap
        Number of resamples; 0 for no intervals.
    confidence
        Coverage of the intervals.
    seed
        Seed of the bootstrap.
    ece_bins
        Bins of the expected calibration error.
    fpr_limit
        False positive rate up to which AUPRO is integrated.

    Raises
    ------
    DualadError
        If an input is missing or cut short, the predictions belong to another split, the score is
        unknown, a class is missing from the test set, or the rule cannot place a threshold.
    """
    split = Split.read(Path(split_path))
    predictions = read_predictions(predictions_path, "scores", "mc")
    with Dataset(dataset_path) as dataset:
        name = dataset.name
        _check_split(predictions, split, dataset.n_images, predictions_path, split_path)
        images = dataset.table.iloc[predictions.index]
    where = f"{name}, {method_name}"
    labels = images["label"].to_numpy(dtype=np.int64)
    _check_test_set(labels[predictions.split == "test"], where)
    score = _chosen_score(params, predictions, where)
    fitted = _fitted(params, predictions, score, labels, where)
    decided = _decisions(fitted, predictions, labels)
    resampling = Resampling(bootstrap, confidence, seed)
    pixels = _pixel_metrics(dataset_path, predictions_path, score, fpr_limit, resampling)
    is_test = predictions.split == "test"
    test = decided[is_test].assign(label=labels[is_test])
    shift, shift_notes = score_shift(
        predictions.scores[score], labels, is_test, images["group"].to_numpy(dtype=str)
    )
    for note in shift_notes:
        logger.warning("%s: %s", where, note)
    metrics = {
        "dataset": name,
        "method": method_name,
        "family": predictions.family,
        "score": score,
        "map": pixels.map_name,
        "protocol": split.protocol,
        "threshold": _shown_rule(params.threshold),
        "n_test": len(test),
        **_block(test, "", fitted, pixels, ece_bins, resampling),
        "mc": _monte_carlo_block(test, fitted["mc"], ece_bins, resampling),
        "score_shift": shift,
        "reconstruction_skill": predictions.reconstruction_skill,
        "n_parameters": predictions.n_parameters,
        "notes": [*predictions.notes, *shift_notes],
    }
    rows = _score_rows(images, predictions, decided)
    out_dir = Path(out_dir)
    write_text(out_dir / "scores.csv", rows.to_csv(index=False, lineterminator="\n"))
    write_json(out_dir / "threshold.json", fitted)
    write_json(out_dir / "metrics.json", metrics)


def fit_threshold(
    params: CommonParams,
    score: str,
    scores: Floats,
    labels: NDArray[np.int64],
    mc_mean: Floats | None = None,
    mc_var: Floats | None = None,
) -> dict[str, Any]:
    """Everything that turns scores into decisions and probabilities, fitted on validation images.

    Parameters
    ----------
    params
        The method's parameters.
    score
        Name of the score, kept in the result.
    scores, mc_mean, mc_var
        (n,) of the validation images: the score with dropout off, and its mean and variance over
        Monte Carlo samples; both None for a method without them.
    labels
        (n,) 0 normal, 1 anomalous.

    Returns
    -------
    dict
        The content of `threshold.json`. With `params.mc`, its `mc` holds the same for the score
        `error + lambda * sigma`, lambda being the candidate of highest validation AUROC, the
        smallest of those that tie (and of all, where validation has one class only).

    Raises
    ------
    DualadError
        If the rule cannot place a threshold.
    """
    fitted: dict[str, Any] = {"score": score, **_fit(params, scores, labels), "mc": None}
    mc_params: MonteCarloParams | None = getattr(params, "mc", None)
    if mc_params is None or mc_mean is None or mc_var is None:
        return fitted

    def combined(candidate: float) -> Floats:
        return combined_score(mc_params.error, candidate, scores, mc_mean, mc_var)

    def separation(candidate: float) -> float:
        if len(np.unique(labels)) < 2:
            return 0.0
        # Rounding noise must not decide between candidates that order the images alike.
        return round(float(roc_auc_score(labels, combined(candidate))), 12)

    best = max(sorted(mc_params.lambdas), key=separation)
    fitted["mc"] = {
        "lambda": best,
        "error": mc_params.error,
        **_fit(params, combined(best), labels),
    }
    return fitted


def _check_split(
    predictions: Predictions, split: Split, n_images: int, path: Path | str, split_path: Path | str
) -> None:
    """Refuse predictions of other images than those of the split."""
    is_test = predictions.split == "test"
    test = set(predictions.index[is_test].tolist())
    validation = set(predictions.index[~is_test].tolist())
    known = set(range(n_images))
    if test != set(split.test) or validation & test or not test | validation <= known:
        raise DualadError(
            f"{path}: by {split_path}, these predictions belong to another split; delete the file "
            "and run again"
        )


def _check_test_set(labels: NDArray[np.int64], where: str) -> None:
    for label, kind in ((0, "normal"), (1, "anomalous")):
        if not np.any(labels == label):
            raise DualadError(
                f"{where}: the test set has no {kind} images; "
                "add some, or choose another split protocol"
            )


def _chosen_score(params: CommonParams, predictions: Predictions, where: str) -> str:
    """Name of the score that the method is configured to use, or of the one it chose itself."""
    configured = getattr(params, "score", "auto")
    score = predictions.default_score if configured == "auto" else configured
    if score not in predictions.scores:
        raise DualadError(
            f"{where}: no score {score!r} among the predictions; "
            f"set `score` to one of {', '.join(predictions.scores)}"
        )
    return str(score)


def _fitted(
    params: CommonParams,
    predictions: Predictions,
    score: str,
    labels: NDArray[np.int64],
    where: str,
) -> dict[str, Any]:
    """The content of `threshold.json`, fitted on the validation images."""
    is_validation = predictions.split == "val"
    monte_carlo = (
        None if values is None else values[is_validation]
        for values in (predictions.mc_mean.get(score), predictions.mc_var.get(score))
    )
    try:
        fitted = fit_threshold(
            params,
            score,
            predictions.scores[score][is_validation],
            labels[is_validation],
            *monte_carlo,
        )
    except DualadError as error:
        raise DualadError(f"{where}: {error}") from error
    return fitted | {"method": {"family": predictions.family, **asdict(params)}}


def _decisions(
    fitted: Mapping[str, Any], predictions: Predictions, labels: NDArray[np.int64]
) -> pd.DataFrame:
    """What `apply_threshold` says of all predictions, by the score that was fitted."""
    score = fitted["score"]
    return apply_threshold(
        fitted,
        predictions.scores[score],
        predictions.mc_mean.get(score),
        predictions.mc_var.get(score),
        reference=(predictions.split == "val") & (labels == 0),
    )


@dataclass(frozen=True)
class _PixelMetrics:
    """Metrics of the test images' pixels; None where they cannot be had."""

    values: Mapping[str, float | None] = field(default_factory=lambda: dict.fromkeys(PIXEL_METRICS))
    intervals: Mapping[str, Interval] = field(default_factory=lambda: dict.fromkeys(PIXEL_METRICS))
    map_name: str | None = None
    """The map that they are of."""


def _block(
    test: pd.DataFrame,
    prefix: str,
    fitted: Mapping[str, Any],
    pixels: _PixelMetrics,
    ece_bins: int,
    resampling: Resampling,
) -> dict[str, Any]:
    """Metrics, intervals and counts of the decisions on the test images.

    Parameters
    ----------
    test
        A row per test image: `label`, and the columns of `apply_threshold`.
    prefix
        Empty for the score with dropout off, `mc_` for the one with Monte Carlo dropout.
    fitted
        Content of `threshold.json`, or its `mc`.
    pixels
        Goes between the metrics of the images and their intervals.
    ece_bins, resampling
        Settings of the metrics.
    """
    calibrated = test[f"{prefix}probability"].to_numpy(dtype=np.float64)
    judgement = Judgement(
        labels=test["label"].to_numpy(dtype=np.int64),
        scores=test[f"{prefix}score"].to_numpy(dtype=np.float64),
        decisions=test[f"{prefix}decision"].to_numpy(dtype=np.int64),
        probabilities=None if np.any(np.isnan(calibrated)) else calibrated,
    )
    intervals = image_intervals(judgement, ece_bins, resampling)
    return {
        **image_metrics(judgement, ece_bins),
        **pixels.values,
        "ci": {**intervals, **pixels.intervals},
        "counts": confusion_counts(judgement.labels, judgement.decisions),
        "agreement": agreement(fitted, test, prefix),
    }


def _monte_carlo_block(
    test: pd.DataFrame,
    fitted: Mapping[str, Any] | None,
    ece_bins: int,
    resampling: Resampling,
) -> dict[str, Any] | None:
    """The same for decisions by `error + lambda * sigma`; None without Monte Carlo samples.

    Parameters
    ----------
    test, ece_bins, resampling
        As in `_block`.
    fitted
        Value of `mc` in `threshold.json`.
    """
    if fitted is None:
        return None
    return {
        **_block(test, "mc_", fitted, _PixelMetrics(), ece_bins, resampling),
        "lambda": fitted["lambda"],
        "variance_normal": _mean_variance(test, 0),
        "variance_anomalous": _mean_variance(test, 1),
    }


def _mean_variance(test: pd.DataFrame, label: int) -> float:
    """Mean over a class's images of the variance over Monte Carlo samples (eq. 32)."""
    return float(np.mean(test.loc[test["label"] == label, "mc_var"].to_numpy(dtype=np.float64)))


def _shown_rule(params: ThresholdParams) -> dict[str, Any]:
    """The threshold's rule, and those of its parameters that the rule reads."""
    parameter = {"quantile": "q", "conformal": "alpha", "fixed": "value"}.get(params.rule)
    return {"rule": params.rule} | ({parameter: getattr(params, parameter)} if parameter else {})


def _fit(params: CommonParams, scores: Floats, labels: NDArray[np.int64]) -> dict[str, Any]:
    threshold = choose_threshold(scores, labels, params.threshold)
    calibrator = fit_calibrator(params.calibrator, scores, labels)
    return {
        "rule": threshold.rule,
        "threshold": threshold.value,
        "validation": {
            "tpr": threshold.tpr,
            "fpr": threshold.fpr,
            "n_normal": threshold.n_normal,
            "n_anomalous": threshold.n_anomalous,
        },
        "calibrator": None if calibrator is None else calibrator.to_json(),
        "normal_scores": np.sort(scores[labels == 0]).tolist(),
    }


def _score_rows(
    images: pd.DataFrame, predictions: Predictions, decided: pd.DataFrame
) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "image": images["source"].to_numpy(),
            "split": predictions.split,
            "label": images["label"].to_numpy(dtype=np.int64),
            "decision": decided["decision"],
            "defect": images["defect"].to_numpy(),
            "group": images["group"].to_numpy(),
            **decided.drop(columns="decision"),
        }
    )
    return rows.iloc[np.lexsort([predictions.index, predictions.split == "test"])]


def _pixel_metrics(
    dataset_path: Path | str,
    predictions_path: Path | str,
    score: str,
    fpr_limit: float,
    resampling: Resampling,
) -> _PixelMetrics:
    """Pixel metrics of the test images, by the score's map, else the default's or the first."""
    with Dataset(dataset_path) as dataset, open_predictions(predictions_path) as file:
        stored = file.get("maps", {})
        candidates = (score, str(file.attrs["default_score"]), *stored)
        name = next((candidate for candidate in candidates if candidate in stored), None)
        if name is None or not dataset.has_masks:
            return _PixelMetrics()
        index, is_test = file["index"][:], file["split"][:] == b"test"
        anomalous = dataset.table["label"].to_numpy()[index] == 1
        size = (dataset.image_size, dataset.image_size)
        n_pixels = int(np.sum(is_test)) * size[0] * size[1]
        batches = _test_maps(stored[name], is_test, size)
        statistics = PixelStatistics(sample_pixels((maps for maps, _ in batches), n_pixels))
        for maps, rows in _test_maps(stored[name], is_test, size):
            masks = dataset.masks(index[rows])
            for row, anomaly_map, mask in zip(rows, maps, masks, strict=True):
                statistics.add(anomaly_map, mask, anomalous=bool(anomalous[row]))
    return _PixelMetrics(
        statistics.metrics(fpr_limit), statistics.bootstrap(fpr_limit, resampling), name
    )


def _test_maps(
    maps: h5py.Dataset, is_test: NDArray[np.bool_], size: tuple[int, int]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Batches of the test images' maps, brought to the masks' size, and their rows."""
    for start in range(0, len(is_test), _MAPS_AT_ONCE):
        rows = start + np.flatnonzero(is_test[start : start + _MAPS_AT_ONCE])
        if len(rows) == 0:
            continue
        batch = maps[start : start + _MAPS_AT_ONCE][rows - start]
        yield resized_maps(batch.astype(np.float32), size), rows
