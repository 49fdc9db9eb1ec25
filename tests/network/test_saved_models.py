"""A model that version 0.1 saved, whose modules had other names, still loads and scores."""

import json
import zipfile
from pathlib import Path

import numpy as np

from dualad.design.parameters import DualAutoencoderParams
from dualad.network.model import build_dual_autoencoder, centre, load_model, save_model

PARAMS = DualAutoencoderParams(encoder_widths=(8, 4), decoder_widths=(6,), centering=True)


def renamed(path: Path, target: Path) -> str:
    """Copy a model under the module names of version 0.1; return its description."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                content = content.replace(b"dualad.network.model", b"dualad.model")
                description = content.decode()
            copy.writestr(name, content)
    return description


def test_a_model_of_version_0_1_gives_the_same_outputs(tmp_path: Path) -> None:
    model = build_dual_autoencoder(6, PARAMS, seed=1)
    images = np.random.default_rng(0).random((5, 6, 6, 1), dtype=np.float32)
    centre(model, images.mean(axis=(0, 3)))
    expected = np.asarray(model(images))
    save_model(model, tmp_path / "model.keras")
    description = renamed(tmp_path / "model.keras", tmp_path / "old.keras")
    assert json.loads(description) and '"dualad.model"' in description
    assert "dualad.network" not in description
    loaded = load_model(tmp_path / "old.keras")
    np.testing.assert_array_equal(np.asarray(loaded(images)), expected)
