"""Networks that hold code, or declare more than they have, are refused before Keras sees them."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from dualad.deployment.contents import ContentError, check_content
from dualad.design.parameters import DualAutoencoderParams
from dualad.network.model import build_dual_autoencoder


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    params = DualAutoencoderParams(encoder_widths=(4, 2), decoder_widths=(3,), centering=True)
    path = tmp_path_factory.mktemp("network") / "model.keras"
    build_dual_autoencoder(6, params, seed=0).save(path)
    return path.read_bytes()


def changed(network: bytes, compression: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    """The network with some members replaced; `config` stands for `config.json`."""
    names = {"config": "config.json", "weights": "model.weights.h5", "more": "more.py"}
    with zipfile.ZipFile(io.BytesIO(network)) as source:
        contents = {name: source.read(name) for name in source.namelist()}
    contents |= {names[key]: content for key, content in members.items()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as target:
        for name, content in contents.items():
            target.writestr(name, content)
    return file.getvalue()


def config(network: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(network)) as file:
        found: dict[str, Any] = json.loads(file.read("config.json"))
        return found


def test_the_networks_of_the_package_pass(network: bytes) -> None:
    check_content("model.keras", network)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("keras.layers", "Lambda"),
        ("keras.layers", "TFSMLayer"),
        ("keras.layers", "TorchModuleWrapper"),
        ("keras.config", "enable_unsafe_deserialization"),
        ("builtins", "function"),
        ("os", "system"),
        ("dualad.methods.external", "External"),
        (None, "__lambda__"),
    ],
)
def test_what_is_no_known_layer_is_refused(network: bytes, module: str | None, name: str) -> None:
    values = config(network)
    values["config"]["layers"].append({"module": module, "class_name": name, "config": {}})
    text = json.dumps(values).encode()
    with pytest.raises(ContentError, match=rf"it names {module}\.{name}"):
        check_content("model.keras", changed(network, config=text))


def test_a_lambda_layer_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(tmp_path / "model.keras")
    with pytest.raises(ContentError, match="Lambda"):
        check_content("model.keras", (tmp_path / "model.keras").read_bytes())


def test_networks_that_hold_or_declare_more_are_refused(network: bytes) -> None:
    with pytest.raises(ContentError, match="its parts are"):
        check_content("model.keras", changed(network, more=b"import os"))
    with pytest.raises(ContentError, match="compressed"):
        check_content("model.keras", changed(network, zipfile.ZIP_DEFLATED))
    with pytest.raises(ContentError, match="damaged"):
        check_content("model.keras", changed(network, weights=b"none"))
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_dataset("huge", (10**6, 10**6), "f4", chunks=True)
    with pytest.raises(ContentError, match="it declares 4000000000000 bytes of weights"):
        check_content("model.keras", changed(network, weights=weights.getvalue()))


def test_arrays_pass_and_objects_do_not() -> None:
    for values, passes in ((np.zeros((0, 3)), True), (np.array(3.0), True), (None, False)):
        file = io.BytesIO()
        np.savez(file, values=np.array([{}]) if values is None else values)
        if passes:
            check_content("model.npz", file.getvalue())
        else:
            with pytest.raises(ContentError, match="Python objects"):
                check_content("model.npz", file.getvalue())
