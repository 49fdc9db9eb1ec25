"""Backbones: stages have the strides and widths of their publications, inputs Keras's ranges."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from dualad.design.parameters import PadimParams
from dualad.errors import DualadError
from dualad.methods.baselines.features import BACKBONES, MIDDLE, FeatureExtractor

WIDTHS = {
    "mobilenet_v2": (24, 32, 96, 320),
    "resnet50": (256, 512, 1024, 2048),
    "efficientnet_b0": (24, 40, 112, 1280),
    "efficientnet_b3": (32, 48, 136, 1536),
}


@pytest.mark.parametrize("name", WIDTHS)
def test_stages_have_their_strides_and_widths(name: str) -> None:
    params = PadimParams(backbone=name, weights="random", input_size=64)
    extractor = FeatureExtractor(params, (1, 2, 3, 4), seed=0)
    assert extractor.channels == WIDTHS[name]
    assert extractor.sizes == ((16, 16), (8, 8), (4, 4), (2, 2))
    maps = extractor(np.random.default_rng(0).random((3, 64, 64, 3), dtype=np.float32))
    expected = [(3, 64 // s, 64 // s, c) for s, c in zip((4, 8, 16, 32), WIDTHS[name], strict=True)]
    assert [stage.shape for stage in maps] == expected
    # A dead stage would say nothing about an image.
    assert all(stage.std() > 0.1 for stage in maps)


@pytest.mark.parametrize(
    ("name", "width"), [("mobilenet_v2", 64), ("resnet50", 1024), ("efficientnet_b0", 80)]
)
def test_the_middle_stage_has_the_stride_of_stage_3(name: str, width: int) -> None:
    params = PadimParams(backbone=name, weights="random", input_size=64)
    extractor = FeatureExtractor(params, (2, MIDDLE, 3), seed=0)
    assert extractor.sizes == ((8, 8), (4, 4), (4, 4))
    assert extractor.channels == (WIDTHS[name][1], width, WIDTHS[name][2])


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("mobilenet_v2", keras.applications.mobilenet_v2),
        ("resnet50", keras.applications.resnet50),
        ("efficientnet_b5", keras.applications.efficientnet),
    ],
)
def test_images_are_preprocessed_as_keras_does(name, module) -> None:
    images = np.random.default_rng(1).random((2, 8, 8, 3), dtype=np.float32)
    ours = np.asarray(BACKBONES[name].preprocessing()(images))
    # Keras's function changes its argument in place.
    np.testing.assert_allclose(ours, module.preprocess_input(255 * images), rtol=1e-4, atol=1e-3)


def test_missing_weights_name_their_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DualadError, match=r"nowhere\.h5.*correct the path"):
        FeatureExtractor(PadimParams(weights="nowhere.h5", input_size=64), (1,), seed=0)

    def offline(**_: object) -> keras.Model:
        raise Exception("URL fetch failure")  # what Keras raises without a network

    backbone = replace(BACKBONES["mobilenet_v2"], application=offline)
    monkeypatch.setitem(BACKBONES, "mobilenet_v2", backbone)
    remedies = "run once with a network connection.*path of a weights file.*random"
    with pytest.raises(DualadError, match=remedies):
        FeatureExtractor(PadimParams(backbone="mobilenet_v2", input_size=64), (1,), seed=0)
