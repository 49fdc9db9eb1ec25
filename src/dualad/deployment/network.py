"""The network of a fitted method in the formats of other programs: Keras's own exports."""

import importlib.util
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from dualad.deployment.archive import method_files
from dualad.deployment.fitted import FittedMethod
from dualad.design.families import FAMILIES
from dualad.errors import DualadError
from dualad.files import replacing
from dualad.methods.jobs import family_class
from dualad.runtime import Runtime, join_tensorflow

NetworkFormat = Literal["savedmodel", "onnx", "tflite"]
NETWORK_FORMATS: tuple[NetworkFormat, ...] = get_args(NetworkFormat)

_KERAS_NAMES = {"savedmodel": "tf_saved_model", "onnx": "onnx", "tflite": "litert"}
_PACKAGES = {"savedmodel": (), "onnx": ("onnx", "tf2onnx"), "tflite": ()}
"""What a format needs beside the dependencies of this package."""
_SUFFIXES = {"savedmodel": "", "onnx": ".onnx", "tflite": ".tflite"}


def export_network(path: Path, out: Path, form: NetworkFormat) -> None:
    """Write the network of a method of a dual family, without threshold and scores.

    That of `dual_autoencoder` takes float32 images (n, S, S, 1) in [0, 1] to their reconstructions.
    That of `dual_features` takes the features of all locations of an image, the statistics of the
    whole map and the positions to the reconstructions of the standardised features, and to these
    features themselves; its backbone is not in it.

    Parameters
    ----------
    path
        A results folder, or a file of `export_detector`.
    out
        A folder that is not there yet for a SavedModel; a file with the format's suffix else.
    form
        `savedmodel`, `onnx` (needs the packages onnx and tf2onnx) or `tflite` (LiteRT).

    Raises
    ------
    DualadError
        If the method has no network of its own, a package is missing, or nothing can be written.
    """
    missing = [name for name in _PACKAGES[form] if importlib.util.find_spec(name) is None]
    if missing:
        raise DualadError(
            f"--format {form}: needs the packages {' and '.join(missing)}, which are not "
            "installed; install dualad with its extra, in its folder: pip install '.[onnx]'"
        )
    if out.suffix != _SUFFIXES[form] and _SUFFIXES[form]:
        raise DualadError(f"{out}: give the file a name that ends in {_SUFFIXES[form]}")
    with method_files(path) as folder:
        method = FittedMethod.read(folder).method
        if FAMILIES[method.family].kind != "dual":
            raise DualadError(
                f"{path}: a method of the family {method.family} has no network to export alone; "
                "leave --format out to export the whole detector"
            )
        join_tensorflow(Runtime())
        detector: Any = family_class(method.family).load(folder, method.params)
    network = detector.model_
    # Keras exports no network that has not been called since it was loaded.
    example = [np.zeros([size or 1 for size in tensor.shape], "f4") for tensor in network.inputs]
    network(example if len(example) > 1 else example[0])
    if form == "savedmodel" and out.exists():
        raise DualadError(f"{out}: is there already; name a folder that is not")
    with replacing(out) as temporary:
        network.export(temporary, format=_KERAS_NAMES[form], verbose=False)
