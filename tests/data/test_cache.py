"""The HDF5 cache: its contents, its determinism, and everything that can go wrong."""

import errno
import hashlib
import json
import os
import resource
import shutil

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import make_mvtec, save_image, save_mask

from dualad.data import cache as cache_module
from dualad.data.cache import build_dataset
from dualad.data.dataset import Dataset
from dualad.data.images import ImageFile
from dualad.errors import DualadError


def entry_for(root):
    return {"reader": "mvtec", "path": str(root)}


def leftovers(folder):
    return [path.name for path in folder.rglob("*") if ".part" in path.name]


def test_contents(build, mvtec):
    dataset, summary = build(entry_for(mvtec))
    with dataset:
        assert (dataset.name, dataset.reader, dataset.image_size) == ("toy", "mvtec", 16)
        assert dataset.n_images == 11 == summary["n_images"]
        assert dataset.table.index.tolist() == list(range(11))
        first = mvtec / dataset.table.source[0]
        assert dataset.table.sha256[0] == hashlib.sha256(first.read_bytes()).hexdigest()
        with h5py.File(dataset.path, locking=False) as file:
            assert file["images"].dtype == np.uint8
            assert file["images"].compression == "gzip"
            assert file["masks"].shape == (3, 16, 16)


def test_any_order_and_repeats(build, mvtec):
    dataset, _ = build(entry_for(mvtec))
    everything = dataset.images(range(dataset.n_images))
    assert everything.dtype == np.float32
    assert 0 <= everything.min() < everything.max() <= 1
    chosen = np.array([10, 2, 2, 7])
    np.testing.assert_array_equal(dataset.images(chosen), everything[chosen])
    np.testing.assert_array_equal(np.concatenate([*dataset.batches(chosen, 3)]), everything[chosen])
    assert [len(batch) for batch in dataset.batches(chosen, 3)] == [3, 1]
    assert dataset.images([]).shape == (0, 16, 16)
    assert dataset.masks([]).shape == (0, 16, 16)
    for wrong in (-1, 11):
        with pytest.raises(IndexError):
            dataset.images([wrong])


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.integers(0, 357), max_size=60))
def test_scattered_reads_equal_numpy_indexing(digits, rows):
    dataset, everything = digits
    np.testing.assert_array_equal(dataset.images(rows), everything[np.array(rows, dtype=int)])


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    build_dataset("d", {"reader": "digits"}, folder / "d.h5", folder / "d.json", image_size=9)
    with Dataset(folder / "d.h5") as dataset:
        yield dataset, dataset.images(range(dataset.n_images))


def test_same_bytes_whatever_the_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "BATCH", 16)
    root = tmp_path / "data"
    for i in range(150):
        save_image(root / f"normal/{i:03d}.png", i)
    for i in range(20):
        save_image(root / f"anomalous/{i:03d}.jpg", 500 + i)
        save_mask(root / f"ground_truth/{i:03d}.png")
    (root / "normal/007.png").write_bytes(b"")
    entry = {"reader": "folder", "path": str(root), "skip_unreadable": True}
    outputs = []
    for workers in (1, 2, 3):
        h5_path, json_path = tmp_path / f"{workers}.h5", tmp_path / f"{workers}.json"
        build_dataset("toy", entry, h5_path, json_path, image_size=16, workers=workers)
        outputs.append((h5_path.read_bytes(), json_path.read_bytes()))
    assert outputs[0] == outputs[1] == outputs[2]
    with Dataset(tmp_path / "1.h5") as dataset:
        assert dataset.n_images == 169
        masked = np.flatnonzero(dataset.table.has_mask)
        assert dataset.masks(masked).any(axis=(1, 2)).all()


def test_content_hash_follows_the_content(build, mvtec):
    before = build(entry_for(mvtec))[1]["content_sha256"]
    assert build(entry_for(mvtec), image_size=8)[1]["content_sha256"] == before
    save_image(mvtec / "train/good/000.png", 999)
    assert build(entry_for(mvtec))[1]["content_sha256"] != before


def test_duplicates_across_splits_are_dropped_from_training(build, mvtec):
    shutil.copy(mvtec / "test/good/001.png", mvtec / "train/good/005.png")
    shutil.copy(mvtec / "train/good/000.png", mvtec / "train/good/001.png")
    dataset, summary = build(entry_for(mvtec))
    assert summary["duplicates"] == [{"train": "train/good/005.png", "other": "test/good/001.png"}]
    assert dataset.table[dataset.table.dropped].source.tolist() == ["train/good/005.png"]
    assert summary["identical"] == [
        ["train/good/000.png", "train/good/001.png"],
        ["train/good/005.png", "test/good/001.png"],
    ]


BAD_FILES = {
    "empty": b"",
    "not an image": b"%PDF-1.7 ...",
    "truncated": None,
}


@pytest.mark.parametrize("kind", BAD_FILES)
@pytest.mark.parametrize("workers", [1, 2])
def test_unreadable_image(build, mvtec, kind, workers, monkeypatch):
    monkeypatch.setattr(cache_module, "BATCH", 4)
    path = mvtec / "test/good/001.png"
    path.write_bytes(BAD_FILES[kind] if BAD_FILES[kind] is not None else path.read_bytes()[:300])
    with pytest.raises(DualadError, match=rf"good/001\.png: .*{kind}.*skip_unreadable: true"):
        build(entry_for(mvtec), workers=workers)
    assert not (mvtec.parent / "out/dataset.h5").exists()
    assert leftovers(mvtec.parent) == []
    dataset, summary = build({**entry_for(mvtec), "skip_unreadable": True}, workers=workers)
    assert dataset.n_images == 10
    assert [item["image"] for item in summary["unreadable"]] == ["test/good/001.png"]
    # The images after it are still the right ones.
    dataset_row = dataset.table.index[dataset.table.source == "test/hole/000.png"][0]
    assert dataset.masks([dataset_row]).any()


def test_file_that_is_no_image_in_an_image_folder(build, mvtec):
    (mvtec / "train/good/notes.txt").write_text("look again at 003")
    with pytest.raises(DualadError, match=r"notes\.txt: not an image"):
        build(entry_for(mvtec))


def test_no_normal_training_image_can_be_read(build, mvtec):
    for path in (mvtec / "train/good").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DualadError, match="none of its normal training images"):
        build({**entry_for(mvtec), "skip_unreadable": True})


@pytest.mark.parametrize("workers", [1, 2])
def test_mask_of_another_size(build, mvtec, workers, monkeypatch):
    monkeypatch.setattr(cache_module, "BATCH", 4)
    save_mask(mvtec / "ground_truth/hole/000_mask.png", (24, 20))
    with pytest.raises(
        DualadError, match=r"hole/000_mask\.png: this mask is 20x24 .*hole/000\.png is 24x20"
    ):
        build({**entry_for(mvtec), "skip_unreadable": True}, workers=workers)


def test_unreadable_mask(build, mvtec):
    (mvtec / "ground_truth/hole/000_mask.png").write_bytes(b"")
    with pytest.raises(DualadError, match=r"hole/000\.png: its mask .*hole/000_mask\.png is bad"):
        build(entry_for(mvtec))


@pytest.mark.parametrize("entry", [{"path": "nowhere"}, {"download": "mvtec_ad"}])
def test_dataset_that_is_not_there(build, tmp_path, entry):
    with pytest.raises(DualadError) as caught:
        build({"reader": "mvtec", **entry}, resources_dir=tmp_path)
    for part in ("MVTec AD", "https://www.mvtec.com", "CC BY-NC-SA 4.0", "datasets.toy.path"):
        assert part in str(caught.value)
    if "download" in entry:
        assert str(tmp_path / "mvtec_ad") in str(caught.value)


def test_own_folder_that_is_not_there(build):
    with pytest.raises(
        DualadError,
        match=r"nowhere \(relative to .*\) does not exist\. Correct datasets\.toy\.path",
    ):
        build({"reader": "folder", "path": "nowhere"})


@pytest.mark.parametrize("keep", [0, 100, 0.5, -1])
def test_truncated_cache(build, mvtec, keep):
    path = build(entry_for(mvtec))[0].path
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep == 0.5 else keep])
    with pytest.raises(DualadError, match=r"dataset\.h5: .*delete it and run again"):
        Dataset(path)


def test_damaged_cache(build, mvtec):
    dataset, _ = build(entry_for(mvtec))
    with h5py.File(dataset.path, locking=False) as file:
        offset = file["images"].id.get_chunk_info(0).byte_offset
    dataset.close()
    content = bytearray(dataset.path.read_bytes())
    content[offset : offset + 64] = bytes(64)
    dataset.path.write_bytes(content)
    with pytest.raises(DualadError, match="delete it and run again"):
        Dataset(dataset.path).images([0])


def test_incomplete_cache(build, mvtec):
    dataset, _ = build(entry_for(mvtec))
    dataset.close()
    with h5py.File(dataset.path, "a") as file:
        del file.attrs["complete"]
    with pytest.raises(DualadError, match="not written to its end"):
        Dataset(dataset.path)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("images", np.zeros((3, 8, 7), np.uint8)),
        ("masks", np.zeros((1, 4, 4), np.uint8)),
        ("label", np.zeros(3, np.int8)),
        ("mask_index", np.full(11, 100, np.int32)),
        ("dropped", np.zeros(0, np.bool_)),
    ],
)
def test_a_cache_whose_parts_do_not_fit_is_refused(build, mvtec, column, values):
    dataset, _ = build(entry_for(mvtec))
    dataset.close()
    with h5py.File(dataset.path, "a") as file:
        del file[column]
        file[column] = values
    with pytest.raises(DualadError, match=r"dataset\.h5: .*delete it and run again"):
        Dataset(dataset.path)


def test_no_cache(tmp_path):
    with pytest.raises(DualadError, match="no such file"):
        Dataset(tmp_path / "dataset.h5")


def test_full_disk(build, tmp_path):
    """A size limit makes writing fail in the middle of HDF5, as a full disk does."""
    earlier = build({"reader": "faces"})[0]
    earlier.close()
    before = earlier.path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(DualadError, match=r"dataset\.h5: .*size limit; free some space"):
            build({"reader": "texture"}, image_size=64)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert earlier.path.read_bytes() == before
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "quota"), (errno.EACCES, "cannot be")],
)
def test_other_write_errors(build, mvtec, monkeypatch, number, message):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(DualadError, match=message):
        build(entry_for(mvtec))
    assert leftovers(mvtec.parent) == []


def test_killed_decoding_process(build, mvtec, monkeypatch):
    monkeypatch.setattr(cache_module, "BATCH", 4)
    monkeypatch.setattr(ImageFile, "decode", lambda *_: os._exit(9))
    with pytest.raises(DualadError, match="decoding process was killed"):
        build(entry_for(mvtec), workers=2)


def test_embedded_data_is_decoded_in_this_process(build, monkeypatch):
    def no_pool(*_, **__):
        raise AssertionError("no process should start")

    monkeypatch.setattr(cache_module, "ProcessPoolExecutor", no_pool)
    build({"reader": "faces"}, workers=8)


def test_json_is_plain(build, mvtec):
    make_mvtec(mvtec)
    _, summary = build(entry_for(mvtec))
    assert json.loads(json.dumps(summary)) == summary
    assert summary["unreadable"] == [] and summary["note"] == ""
