"""Features of pretrained networks, which most baselines build on.

A backbone, EfficientNet-Lite0 or one of `keras.applications`, is cut after the last stage that is
needed. Stages 1, 2, 3, 4 have strides 4, 8, 16, 32; the middle stage ends before stage 3, where the
first group of blocks of stride 16 does. Batch normalisation runs in inference mode and nothing is
ever trained.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dualad.data.dataset import Dataset
from dualad.design.parameters import FeatureParams
from dualad.errors import DualadError
from dualad.methods.baselines.efficientnet_lite0 import efficientnet_lite0
from dualad.network.batches import map_batches
from dualad.network.model import load_model, save_model

FloatArray = npt.NDArray[np.float32]

Stage = int | Literal["middle"]
MIDDLE: Literal["middle"] = "middle"

_BATCH = 16
"""Images per pass: the shape is fixed, so that an image's features never depend on the others."""
_BACKBONE_FILE = "backbone.keras"
_EFFICIENTNET_DEPTHS = {
    "b0": 1.0,
    "b1": 1.1,
    "b2": 1.2,
    "b3": 1.4,
    "b4": 1.8,
    "b5": 2.2,
    "b6": 2.6,
    "b7": 3.1,
}


@dataclass(frozen=True)
class _Backbone:
    title: str
    application: Callable[..., keras.Model]
    layers: tuple[str, str, str, str]
    """Keras layer at the end of each stage."""
    middle: str
    """Keras layer at the end of the middle stage."""
    preprocessing: Callable[[], keras.layers.Layer]
    """What turns [0, 1] into the range that the network was trained on."""

    def layer_of(self, stage: Stage) -> str:
        """Keras layer at the end of a stage."""
        return self.middle if isinstance(stage, str) else self.layers[stage - 1]


def _minus_one_to_one() -> keras.layers.Layer:
    return keras.layers.Rescaling(2.0, offset=-1.0, name="preprocessing")


def _bytes() -> keras.layers.Layer:
    # EfficientNet normalises by itself.
    return keras.layers.Rescaling(255.0, name="preprocessing")


def _lite() -> keras.layers.Layer:
    return keras.layers.Rescaling(255 / 128, offset=-127 / 128, name="preprocessing")


def _caffe() -> keras.layers.Layer:
    """Blue, green, red in [0, 255] less ImageNet's means: a fixed linear map of the channels."""
    means = np.array([103.939, 116.779, 123.68], dtype=np.float32)
    swap = 255 * np.eye(3, dtype=np.float32)[::-1].reshape(1, 1, 3, 3)
    return keras.layers.Conv2D(
        3,
        1,
        kernel_initializer=keras.initializers.Constant(swap),
        bias_initializer=keras.initializers.Constant(-means),
        trainable=False,
        name="preprocessing",
    )


def _efficientnet(number: str) -> _Backbone:
    def last(stage: int, repeats: int) -> str:
        letter = chr(ord("a") + math.ceil(_EFFICIENTNET_DEPTHS[number] * repeats) - 1)
        return f"block{stage}{letter}_add"

    return _Backbone(
        f"EfficientNet{number.upper()}",
        getattr(keras.applications, f"EfficientNet{number.upper()}"),
        (last(2, 2), last(3, 2), last(5, 3), "top_activation"),
        last(4, 3),
        _bytes,
    )


BACKBONES: dict[str, _Backbone] = {
    "efficientnet_lite0": _Backbone(
        "EfficientNet-Lite0",
        efficientnet_lite0,
        ("group2_end", "group3_end", "group5_end", "group7_end"),
        "group4_end",
        _lite,
    ),
    "mobilenet_v2": _Backbone(
        "MobileNetV2",
        keras.applications.MobileNetV2,
        ("block_2_add", "block_5_add", "block_12_add", "block_16_project_BN"),
        "block_9_add",
        _minus_one_to_one,
    ),
    "resnet50": _Backbone(
        "ResNet50",
        keras.applications.ResNet50,
        ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"),
        "conv4_block3_out",
        _caffe,
    ),
    **{f"efficientnet_{number}": _efficientnet(number) for number in _EFFICIENTNET_DEPTHS},
}


class FeatureExtractor:
    """Feature maps of images at some stages of a backbone.

    Parameters
    ----------
    params : FeatureParams
        Names backbone, weights and the images' side.
    stages : sequence of int or "middle"
        From the first of the network to the last: 1 (stride 4), 2, middle, 3, 4 (stride 32).
    seed : int
        Of the initial weights, for `weights: random`.
    scales : sequence of float
        The network sees the image at these fractions of its size, one after another.

    Attributes
    ----------
    model : keras.Model
        Images (n, S, S, 3) in [0, 1] to a list of maps (n, h, w, c), one per scale and stage.
    channels : tuple of int
    sizes : tuple of (h, w)
    notes : tuple of str
        What a reader of a result has to know.

    Raises
    ------
    DualadError
        If the weights cannot be downloaded, or their file is missing or of another network.
    """

    def __init__(
        self,
        params: FeatureParams,
        stages: Sequence[Stage],
        seed: int,
        scales: Sequence[float] = (1.0,),
    ) -> None:
        backbone = BACKBONES[params.backbone]
        keras.utils.set_random_seed(seed)
        side = params.input_size
        base = _build(backbone, params.weights, (side, side, 3) if scales == (1.0,) else None)
        trunk = keras.Model(
            base.input, [base.get_layer(backbone.layer_of(stage)).output for stage in stages]
        )
        images = keras.Input((side, side, 3), name="image")
        prepared = backbone.preprocessing()(images)
        outputs = []
        for scale in scales:
            scaled = round(scale * side)
            resized = prepared if scale == 1 else keras.layers.Resizing(scaled, scaled)(prepared)
            found = trunk(resized, training=False)
            outputs += found if isinstance(found, list) else [found]
        random = params.weights == "random"
        if random:
            outputs = _unit_deviation(images, outputs, seed)
        model = keras.Model(images, outputs, name=f"{params.backbone}_features")
        title = f"{backbone.title} with random weights" if random else backbone.title
        self._adopt(model, (f"random features ({title})" if random else f"{title} features",))

    def _adopt(self, model: keras.Model, notes: tuple[str, ...]) -> None:
        model.trainable = False
        self.model, self.notes = model, notes
        shapes = [tuple(tensor.shape[1:]) for tensor in model.outputs]
        self.sizes = tuple((h, w) for h, w, _ in shapes)
        self.channels = tuple(c for _, _, c in shapes)
        self.n_parameters = int(sum(np.prod(v.shape) for v in model.variables))

    def __call__(self, images: FloatArray) -> list[FloatArray]:
        """Feature maps (n, h, w, c) of images (n, S, S, 3) in [0, 1], one array per stage."""
        return map_batches(lambda batch: self._pass(tf.constant(batch)), images, _BATCH)

    def batches(
        self, dataset: Dataset, indices: Sequence[int] | npt.NDArray[np.int64], size: int = 32
    ) -> Iterator[list[FloatArray]]:
        """Feature maps of a dataset's images, `size` images at a time."""
        for images in dataset.batches(indices, size):
            yield self(images)

    def save(self, folder: Path) -> None:
        """Write the truncated network, so that scoring needs no weights file."""
        save_model(self.model, folder / _BACKBONE_FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        DualadError
            If the file is missing or damaged.
        """
        extractor = cls.__new__(cls)
        extractor._adopt(load_model(folder / _BACKBONE_FILE), ())
        return extractor

    def tensors(self, images: tf.Tensor) -> list[tf.Tensor]:
        """Feature maps of a tensor with any number of images, for use in a compiled function."""
        return _as_list(self.model(images, training=False))

    @tf.function(reduce_retracing=True, autograph=False)
    def _pass(self, images: tf.Tensor) -> list[tf.Tensor]:
        return self.tensors(images)


def _as_list(outputs: Any) -> list[tf.Tensor]:
    """Outputs of a model as a list; Keras returns a single output without one."""
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _unit_deviation(
    images: keras.KerasTensor, outputs: Sequence[keras.KerasTensor], seed: int
) -> list[keras.KerasTensor]:
    """The outputs, scaled to deviation 1 on noise.

    Without the statistics that training leaves in batch normalisation, signals fade from layer to
    layer to nothing that any regularisation would not drown.
    """
    noise = np.random.default_rng(seed).random((_BATCH, *images.shape[1:]), dtype=np.float32)
    found = _as_list(keras.Model(images, list(outputs))(tf.constant(noise), training=False))
    deviations = [max(float(np.std(feature_map)), 1e-30) for feature_map in found]
    return [
        keras.layers.Rescaling(1 / deviation)(output)
        for output, deviation in zip(outputs, deviations, strict=True)
    ]


def _build(backbone: _Backbone, weights: str, shape: tuple[int, int, int] | None) -> keras.Model:
    build: Any = backbone.application
    if weights == "random":
        return build(weights=None, include_top=False, input_shape=shape)
    if weights == "imagenet":
        try:
            return build(weights="imagenet", include_top=False, input_shape=shape)
        except DualadError:
            raise
        except Exception as error:
            raise DualadError(
                f"the ImageNet weights of {backbone.title} cannot be downloaded ({error}). Either "
                "run once with a network connection, or set `weights` to the path of a weights "
                "file, or to `random` to try the method without pretrained features"
            ) from error
    path = Path(weights).expanduser()
    if not path.is_file():
        raise DualadError(
            f"weights: {weights!r} is neither imagenet, random nor a file; correct the path"
        )
    try:
        return build(weights=str(path), include_top=False, input_shape=shape)
    except (OSError, ValueError, KeyError) as error:
        raise DualadError(
            f"{path}: no weights of {backbone.title} without its top ({error}); "
            "name the file that belongs to `backbone`"
        ) from error
