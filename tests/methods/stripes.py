"""Striped images with a defect, and a backbone that is built in no time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from dualad.methods.baselines.features import BACKBONES

SIZE = 64
STAGES = ("stage_1", "stage_2", "stage_3", "stage_4")


def small_network(input_shape: tuple[int, int, int] | None, **_: object) -> keras.Model:
    """A convolution per stage, from stride 4 to stride 32."""
    images = hidden = keras.Input(input_shape or (None, None, 3))
    for name, width in zip(("stem", *STAGES), (8, 16, 24, 32, 48), strict=True):
        hidden = keras.layers.Conv2D(width, 3, 2, "same", activation="relu", name=name)(hidden)
    return keras.Model(images, hidden)


@contextmanager
def small_default_backbone() -> Iterator[None]:
    """What is tested is not the backbone, and tracing a real one takes seconds each time."""
    name = "efficientnet_lite0"
    small = replace(BACKBONES[name], application=small_network, layers=STAGES, middle=STAGES[2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, name, small)
        yield


def save_stripes(folder: Path) -> None:
    """Noisy stripes; anomalous ones have a bright square, with its mask."""
    rng = np.random.default_rng(0)

    def save(path: Path, anomalous: bool) -> None:
        image = 110 + 40 * np.sin(np.arange(SIZE) / 3) + rng.normal(0, 4, (SIZE, SIZE))
        mask = np.zeros((SIZE, SIZE), np.uint8)
        if anomalous:
            top, left = rng.integers(8, SIZE - 24, size=2)
            mask[top : top + 16, left : left + 16] = 255
            image[mask > 0] = 250
        path.parent.mkdir(parents=True, exist_ok=True)
        rgb = np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., np.newaxis], 3, axis=2)
        Image.fromarray(rgb).save(path)
        if anomalous:
            truth = folder / "images/ground_truth/square" / f"{path.stem}_mask.png"
            truth.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(truth)

    for i in range(40):
        save(folder / f"images/train/good/{i:03}.png", anomalous=False)
    for i in range(12):
        save(folder / f"images/test/good/{i:03}.png", anomalous=False)
        save(folder / f"images/test/square/{i:03}.png", anomalous=True)
