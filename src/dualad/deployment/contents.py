"""Whether the files of a model hold arrays and layers only, and as much as they declare.

NumPy's and Keras's files can hold pickles and code (`Lambda`, functions by their name, models of
PyTorch), and can declare arrays of any size. Both libraries refuse the former where they are asked
to; here nothing is left to them.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import h5py
import numpy as np

from dualad.errors import brief

_LAYERS = frozenset(
    {
        *("Activation", "Add", "AveragePooling2D", "BatchNormalization", "Concatenate", "Conv2D"),
        *("Conv2DTranspose", "Dense", "DepthwiseConv2D", "Dropout", "EinsumDense", "Flatten"),
        *("GlobalAveragePooling2D", "GlobalMaxPooling2D", "Identity", "InputLayer"),
        *("LayerNormalization", "LeakyReLU", "MaxPooling2D", "MultiHeadAttention", "Multiply"),
        *("Normalization", "ReLU", "Rescaling", "Reshape", "Resizing", "SeparableConv2D"),
        *("Softmax", "UpSampling2D", "ZeroPadding2D"),
    }
)
"""Layers of Keras that the networks and backbones of this package are made of; none runs code."""
_OWN_LAYERS = frozenset(
    {
        *("AdjustableDropout", "Centering", "RepeatedCode", "Rows", "Standardisation"),
        "_PositionEmbedding",
    }
)
_VALUES = frozenset({"__ellipsis__", "__keras_tensor__", "__slice__", "__numpy__", "__tuple__"})
_OTHERS = frozenset(
    {
        ("keras", "DTypePolicy"),
        ("keras.src.models.functional", "Functional"),
        ("keras.src.models.sequential", "Sequential"),
        ("keras", "Functional"),
        ("keras", "Sequential"),
        ("keras.src.ops.numpy", "GetItem"),
    }
)
_KERAS_MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}


class ContentError(Exception):
    """A file holds what a model does not need; the message says what, without the file's name."""


def check_content(name: str, content: bytes) -> None:
    """Check a file of a model by its kind; other files pass.

    Parameters
    ----------
    name
        Its name, of which the suffix counts: `.npz` or `.keras`.
    content
        Its bytes.

    Raises
    ------
    ContentError
        If it is damaged, or holds anything but arrays and known layers.
    """
    checks = {".npz": _check_arrays, ".keras": _check_network}
    check = checks.get(PurePosixPath(name).suffix)
    if check is None:
        return
    try:
        check(content)
    except ContentError:
        raise
    except Exception as error:
        # A file that was made to do harm makes the parsers raise anything.
        raise ContentError(f"damaged ({brief(repr(error))})") from error


def _members(content: bytes) -> dict[str, bytes]:
    """Members of a zip file without compression, whose sizes are therefore what they seem."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        if any(info.compress_type != zipfile.ZIP_STORED for info in file.infolist()):
            raise ContentError("compressed")
        return {name: file.read(name) for name in file.namelist()}


def _check_arrays(content: bytes) -> None:
    for name, member in _members(content).items():
        file = io.BytesIO(member)
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(file)
        if dtype.hasobject:
            raise ContentError(f"{name} holds Python objects, which could run code")
        if file.tell() + dtype.itemsize * int(np.prod(shape, dtype=object)) != len(member):
            raise ContentError(f"{name} has not the size that it declares")


def _check_network(content: bytes) -> None:
    members = _members(content)
    if set(members) != _KERAS_MEMBERS:
        raise ContentError(f"its parts are {', '.join(sorted(members))}")
    for entry in _objects(json.loads(members["config.json"])):
        if not _is_known(entry.get("module"), str(entry["class_name"])):
            raise ContentError(
                f"it names {entry.get('module')}.{entry['class_name']}, and only layers that the "
                "networks of dualad are made of are read"
            )
    with h5py.File(io.BytesIO(members["model.weights.h5"]), "r") as file:
        declared = 0

        def add(_: str, item: Any) -> None:
            nonlocal declared
            if isinstance(item, h5py.Dataset):
                if item.is_virtual or item.external or item.dtype.hasobject:
                    raise ContentError("its weights lie elsewhere")
                declared += item.dtype.itemsize * int(np.prod(item.shape, dtype=object))

        file.visititems(add)
    if declared > len(content):
        raise ContentError(f"it declares {declared} bytes of weights, and has {len(content)}")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Everything in a network's configuration that names a class."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)


def _is_known(module: Any, name: str) -> bool:
    if module is None:
        return name in _VALUES
    if module == "keras.layers":
        return name in _LAYERS
    if str(module).startswith("dualad."):
        return name in _OWN_LAYERS
    return module == "keras.initializers" or (module, name) in _OTHERS
