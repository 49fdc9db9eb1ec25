"""EfficientNet-Lite0 recognises what it was trained on, and its file can run no code."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import chelsea

from dualad.design.parameters import PadimParams
from dualad.errors import DualadError
from dualad.methods.baselines.efficientnet_lite0 import (
    efficientnet_lite0,
    packaged_weights,
    read_torch_tensors,
)
from dualad.methods.baselines.features import BACKBONES, FeatureExtractor

CATS = range(281, 288)
"""ImageNet's classes of domestic and wild cats of that size, tabby to lynx."""


def prepared(side: int) -> np.ndarray:
    """scikit-image's photograph of a cat, (1, side, side, 3) in [0, 1]."""
    return np.asarray(Image.fromarray(chelsea()).resize((side, side)), np.float32)[None] / 255


def test_a_cat_is_a_cat() -> None:
    model = efficientnet_lite0("imagenet", include_top=True, input_shape=(224, 224, 3))
    images = BACKBONES["efficientnet_lite0"].preprocessing()(prepared(224))
    np.testing.assert_allclose(images, (255 * prepared(224) - 127) / 128, atol=1e-5)
    logits = np.asarray(model(images, training=False))[0]
    likeliest = np.argsort(-logits)
    assert set(likeliest[:3]) <= set(CATS)
    # Not by a hair: the first class that is no cat is well behind.
    first_other = next(label for label in likeliest if label not in CATS)
    assert logits[likeliest[0]] - logits[first_other] > 2


def test_stages_of_the_pretrained_network_have_their_widths() -> None:
    extractor = FeatureExtractor(PadimParams(input_size=64), (1, 2, 3, 4), seed=0)
    assert extractor.channels == (24, 40, 112, 320)
    assert extractor.sizes == ((16, 16), (8, 8), (4, 4), (2, 2))
    assert extractor.notes == ("EfficientNet-Lite0 features",)
    # Pretrained: another seed changes nothing.
    again = FeatureExtractor(PadimParams(input_size=64), (1, 2, 3, 4), seed=1)
    for ours, theirs in zip(extractor(prepared(64)), again(prepared(64)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_every_tensor_of_the_file_has_its_place() -> None:
    tensors = read_torch_tensors(packaged_weights())
    assert len(tensors) == 296
    model = efficientnet_lite0("imagenet", include_top=True, input_shape=None)
    counted = sum("num_batches_tracked" not in name for name in tensors)
    assert len(model.weights) == counted
    kernel = tensors["_conv_stem.weight"]
    ours = model.get_layer("_conv_stem").weights[0].numpy()
    assert kernel.shape == (32, 3, 3, 3)
    np.testing.assert_array_equal(ours[0, 1, 2, 5], kernel[5, 2, 0, 1])


class _Command:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def test_a_file_that_would_run_a_command_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(_Command()))
    with pytest.raises(DualadError, match=r"weights\.pth.*is not allowed in it"):
        read_torch_tensors(path)
    assert not Path("executed").exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "pickle"])
def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path, damage: str) -> None:
    whole = packaged_weights().read_bytes()
    content = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "text": b"version https://git-lfs.github.com/spec/v1\n",
        "pickle": pickle.dumps({"a": 1}),
    }[damage]
    path = tmp_path / "lite.pth"
    path.write_bytes(content)
    with pytest.raises(DualadError, match=r"lite\.pth.*install the package"):
        efficientnet_lite0(str(path), include_top=False, input_shape=None)
