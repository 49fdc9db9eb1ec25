"""An export scores as its results do, or is refused by name, whatever has been done to it."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finished_methods import finish_methods, write_photographs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualad import load_detector
from dualad.cli import main
from dualad.deployment.archive import MANIFEST, extracted, read_manifest, seal
from dualad.deployment.export import export_detector
from dualad.errors import DualadError

Members = dict[str, bytes]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photographs(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    return finish_methods(tmp_path_factory.mktemp("results"), images, ["pca", "red"])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, results: Path) -> Path:
    path = tmp_path_factory.mktemp("exported") / "parts.dualad"
    assert main(["export", str(results / "pca"), "-o", str(path)]) == 0
    return path


def members_of(path: Path) -> Members:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def forged(path: Path, members: Members, compression: int = zipfile.ZIP_STORED) -> Path:
    """A file whose checksums all fit, as someone writes it who knows the format."""
    manifest = json.loads(members[MANIFEST])
    manifest["members"] = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in members.items()
        if name != MANIFEST
    }
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in {**members, MANIFEST: json.dumps(manifest).encode()}.items():
            file.writestr(name, content)
        file.comment = b"sha256 " + bytes(64)
    seal(path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DualadError) as caught:
        load_detector(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_an_export_scores_as_its_results_do_without_them(
    exported: Path, results: Path, images: Path, tmp_path: Path
) -> None:
    for source, out in ((results / "pca", "own"), (exported, "away")):
        assert main(["score", str(source), str(images), "--out", str(tmp_path / out)]) == 0
    for name in ("scores.csv", "drift.json", "overlays/test/dark/0.png.png"):
        assert (tmp_path / "own" / name).read_bytes() == (tmp_path / "away" / name).read_bytes()


def test_a_manifest_says_where_a_detector_comes_from(exported: Path, results: Path) -> None:
    manifest = read_manifest(exported)
    assert (manifest["dataset"], manifest["family"], manifest["backbone"]) == ("own", "pca", None)
    assert manifest["configuration"]["components"] == 5
    described = json.loads((results / "dataset.json").read_text())
    assert manifest["fingerprints"]["dataset"] == described["content_sha256"]
    picture = members_of(exported)["test_results.png"]
    assert picture.startswith(b"\x89PNG") and len(picture) < 100_000


def test_a_method_of_ones_own_file_is_not_exported(results: Path, tmp_path: Path) -> None:
    with pytest.raises(DualadError, match="a Python file of your own, and an export holds no code"):
        export_detector(results / "red", tmp_path / "red.dualad")
    assert list(tmp_path.iterdir()) == []


def test_results_that_lack_a_file_are_not_exported(results: Path, tmp_path: Path) -> None:
    import shutil

    model = shutil.copytree(results / "pca", tmp_path / "pca")
    (model / "model.npz").unlink()
    with pytest.raises(DualadError, match=r"model\.npz: cannot be read .* run the workflow again"):
        export_detector(model, tmp_path / "pca.dualad")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_a_file_with_any_other_byte_is_refused(
    exported: Path, tmp_path: Path, place: float, change: int
) -> None:
    content = bytearray(exported.read_bytes())
    content[int(place * len(content))] ^= change
    path = tmp_path / "flipped.dualad"
    path.write_bytes(content)
    assert "copy it again, or make it anew" in refusal(path)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0, 1, exclude_max=True), more=st.binary(max_size=80))
def test_a_file_that_is_cut_short_or_followed_by_more_is_refused(
    exported: Path, tmp_path: Path, share: float, more: bytes
) -> None:
    content = exported.read_bytes()
    path = tmp_path / "cut.dualad"
    path.write_bytes(content[: int(share * len(content))] + more)
    assert "copy it again, or make it anew" in refusal(path)
    if more:
        path.write_bytes(content + more)
        assert "damaged or cut short" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_files_of_another_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.dualad"
    path.write_bytes(content)
    assert "no detector that dualad exported" in refusal(path)


def swap(members: Members) -> None:
    members["fit.json"], members["threshold.json"] = members["threshold.json"], members["fit.json"]


def rename(name: str) -> Callable[[Members], None]:
    return lambda members: members.update({name: members.pop("fit.json")})


def of_family(family: str) -> Callable[[Members], None]:
    """A threshold of a method that would run a file of someone's own."""

    def change(members: Members) -> None:
        threshold = json.loads(members["threshold.json"])
        threshold["method"] = {"family": family, "module": "/tmp/own.py", "class_name": "Own"}
        members["threshold.json"] = json.dumps(threshold).encode()

    return change


def with_manifest(**values: Any) -> Callable[[Members], None]:
    return lambda members: members.update(
        {MANIFEST: json.dumps(json.loads(members[MANIFEST]) | values).encode()}
    )


def arrays(**values: Any) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        file = io.BytesIO()
        np.savez(file, **values)
        members["model.npz"] = file.getvalue()

    return change


def declares_more(members: Members) -> None:
    """An array whose header says that it has a million times its size."""
    content = members["model.npz"]
    header = content.index(b"'shape': (")
    end = content.index(b")", header)
    shape = b"(99999999,"[: end - header]
    inner = content[: header + 9] + shape + content[header + 9 + len(shape) :]
    file, source = io.BytesIO(), zipfile.ZipFile(io.BytesIO(content))
    with zipfile.ZipFile(file, "w") as target:
        for name in source.namelist():
            text = source.read(name)
            target.writestr(name, text.replace(content[header : end + 1], inner[header : end + 1]))
    members["model.npz"] = file.getvalue()


def compressed_arrays(members: Members) -> None:
    file = io.BytesIO()
    np.savez_compressed(file, mean_=np.zeros(10_000_000, np.float32), components_=np.zeros(1))
    members["model.npz"] = file.getvalue()


FORGERIES: dict[str, tuple[Callable[[Members], Any], str]] = {
    "swapped members": (swap, "threshold.json in it is damaged"),
    "a path that leads out": (rename("../fit.json"), "members are not those of a detector"),
    "an absolute path": (rename("/tmp/fit.json"), "members are not those of a detector"),
    "a member too many": (lambda m: m.update({"run.py": b""}), "members are not those"),
    "a member too few": (lambda m: m.pop("model.npz"), r"model.npz: cannot be read"),
    "a newer version": (with_manifest(format_version=2), "written by a newer version of dualad"),
    "another format": (with_manifest(format="other"), "its format is 'other'"),
    "an unknown family": (with_manifest(family="magic"), "a method of the family 'magic'"),
    "a family of code": (with_manifest(family="external"), "a method of the family 'external'"),
    "another family": (with_manifest(family="dual_features"), "members are not those"),
    "code in the threshold": (of_family("external"), "threshold.json in it is of another method"),
    "no manifest": (lambda m: m.update({MANIFEST: b"[]"}), "its manifest is damaged"),
    "pickled objects": (arrays(mean_=np.array([{}], object)), "holds Python objects"),
    "arrays that lack one": (arrays(mean_=np.zeros(3)), "model.npz: cannot be read"),
    "arrays that are compressed": (compressed_arrays, "model.npz in it is not read: compressed"),
    "arrays larger than the file": (declares_more, "model.npz in it is not read"),
    "no arrays at all": (lambda m: m.update({"model.npz": b"PK"}), "damaged"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_file_is_refused_by_name(forgery: str, exported: Path, tmp_path: Path) -> None:
    change, message = FORGERIES[forgery]
    members = members_of(exported)
    change(members)
    if MANIFEST in members and not members[MANIFEST].startswith(b"{"):
        path = tmp_path / "forged.dualad"
        with zipfile.ZipFile(path, "w") as file:
            for name, content in members.items():
                file.writestr(name, content)
            file.comment = b"sha256 " + bytes(64)
        seal(path)
    else:
        path = forged(tmp_path / "forged.dualad", members)
    assert message in refusal(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_compressed_file_is_refused_before_anything_grows(exported: Path, tmp_path: Path) -> None:
    members = members_of(exported) | {"metrics.json": bytes(50_000_000)}
    path = forged(tmp_path / "bomb.dualad", members, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2_000_000
    assert "a member of it is compressed" in refusal(path)


def test_an_export_that_is_written_again_has_the_same_members(
    exported: Path, results: Path, tmp_path: Path
) -> None:
    export_detector(results / "pca", tmp_path / "again.dualad")
    first, again = members_of(exported), members_of(tmp_path / "again.dualad")
    first.pop(MANIFEST), again.pop(MANIFEST)
    assert first == again


def test_nothing_of_an_export_is_left_behind(exported: Path) -> None:
    with extracted(exported) as folder:
        assert (folder / "model.npz").exists()
    assert not folder.exists()
