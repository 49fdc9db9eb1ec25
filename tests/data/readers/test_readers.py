"""Each reader on a small dataset in its official layout and format."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from samples import make_mvtec, pixels, save_depth, save_image, save_mask

from dualad.data.readers.bmad import patient
from dualad.data.readers.folder import is_test
from dualad.data.readers.ucsd import parse_ground_truth
from dualad.data.registry import list_records, parse_entry
from dualad.errors import DualadError


def count(table: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Images per official set and defect."""
    return table.groupby(["official_split", "defect"]).size().to_dict()


# MVTec AD


def test_mvtec(build, mvtec):
    dataset, summary = build({"reader": "mvtec", "path": str(mvtec.parent), "category": "bottle"})
    assert count(dataset.table) == {
        ("train", "good"): 6,
        ("test", "good"): 2,
        ("test", "crack"): 2,
        ("test", "hole"): 1,
    }
    assert dataset.table.source[0] == "train/good/000.png"
    assert dataset.table.label.tolist() == (dataset.table.defect != "good").astype(int).tolist()
    assert dataset.table.has_mask.tolist() == (dataset.table.label == 1).tolist()
    masks = dataset.masks(range(dataset.n_images))
    assert masks[dataset.table.label == 1].all(axis=0)[:8, :8].all()
    assert masks[:, 8:].sum() == masks[:, :, 8:].sum() == 0
    assert not masks[dataset.table.label == 0].any()
    assert summary["counts"]["test"]["anomalous"] == {"crack": 2, "hole": 1}
    assert summary["n_masks"] == 3
    # Another's images may lie in MVTec AD's layout.
    assert summary["licence"] == "CC BY-NC-SA 4.0, if the images come from this page"


def test_mvtec_wrong_category(mvtec):
    with pytest.raises(DualadError, match=r"category.*bottle"):
        list_records("toy", {"reader": "mvtec", "path": str(mvtec.parent), "category": "zipper"})


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("ground_truth/crack/099_mask.png", r"crack/099_mask\.png.*matches no image"),
        ("ground_truth/dent/000_mask.png", r"ground_truth/dent.*match no images"),
        ("train/good/099_mask.png", r"099_mask\.png: named like a label image.* image 099"),
        ("test/crack/099_mask.png", r"099_mask\.png: named like a label image.* image 099"),
    ],
)
def test_a_mask_without_an_image_is_refused(mvtec, mask, message):
    save_mask(mvtec / mask)
    with pytest.raises(DualadError, match=message):
        list_records("toy", {"reader": "mvtec", "path": str(mvtec)})


def test_folder_without_normal_training_images(mvtec):
    shutil.rmtree(mvtec / "train/good")
    with pytest.raises(DualadError, match=r"no normal training images.*train/good"):
        list_records("toy", {"reader": "mvtec", "path": str(mvtec)})


# MVTec 3D-AD


@pytest.fixture
def rope(tmp_path):
    """Depths of 0.4 to 0.6, a stray point, and a hole of missing points."""
    root = tmp_path / "rope"
    depth = np.tile(np.linspace(0.4, 0.6, 40, dtype=np.float32), (30, 1))
    for folder, defect, n in (
        ("train", "good", 3),
        ("validation", "good", 1),
        ("test", "good", 1),
        ("test", "cut", 2),
    ):
        for i in range(n):
            image = depth.copy()
            image[10:20, 10:20] = 0
            image[0, 0] = 9.0
            image[2, 7] = 0
            image[image > 0] += 1e-4 * i
            save_depth(root / folder / defect / "xyz" / f"{i:03d}.tiff", image)
            save_image(root / folder / defect / "rgb" / f"{i:03d}.png", i, (30, 40, 3))
            if folder != "train":
                save_mask(root / folder / defect / "gt" / f"{i:03d}.png", (30, 40))
    return root


def test_mvtec3d_depth(build, rope):
    dataset, summary = build({"reader": "mvtec3d", "path": str(rope)}, image_size=20)
    assert count(dataset.table) == {
        ("train", "good"): 3,
        ("val", "good"): 1,
        ("test", "good"): 1,
        ("test", "cut"): 2,
    }
    # The stray point does not set the scale.
    low, high = dataset.depth_range
    assert low == pytest.approx(0.4, abs=0.01)
    assert high == pytest.approx(0.6, abs=0.01)
    assert summary["depth_range"] == [low, high]
    image = dataset.images([1])[0]
    assert image.dtype == np.float32
    # No valid point inside the hole; a single missing point elsewhere leaves no trace.
    assert (image[8:12, 6:9] == 0).all()
    expected = 0.1 + 0.9 * (np.linspace(0.4, 0.6, 40) - low) / (high - low)
    np.testing.assert_allclose(
        image[5], np.clip(expected, 0, 1).reshape(20, 2).mean(axis=1), atol=0.03
    )
    np.testing.assert_allclose(image[1], image[5], atol=0.03)
    assert dataset.table.has_mask.tolist() == (dataset.table.defect == "cut").tolist()
    masks = dataset.masks(range(7))
    assert masks[dataset.table.has_mask, :10, :10].all()
    assert not masks[~dataset.table.has_mask].any()


def test_mvtec3d_rgb(build, rope):
    dataset, _ = build({"reader": "mvtec3d", "path": str(rope), "modality": "rgb"}, color=True)
    assert dataset.depth_range is None
    assert dataset.images([0]).shape == (1, 16, 16, 3)
    assert dataset.table.source[0] == "train/good/rgb/000.png"


def test_mvtec3d_not_coordinates(build, rope):
    path = rope / "test/cut/xyz/000.tiff"
    Image.fromarray(pixels(0)).save(path)
    with pytest.raises(DualadError, match=r"cut/xyz/000\.tiff.*coordinates"):
        build({"reader": "mvtec3d", "path": str(rope)})


def test_mvtec3d_without_any_valid_point(rope):
    for path in (rope / "train/good/xyz").iterdir():
        save_depth(path, np.zeros((30, 40), dtype=np.float32))
    with pytest.raises(DualadError, match="no valid depth"):
        list_records("toy", {"reader": "mvtec3d", "path": str(rope)})


# BMAD


@pytest.mark.parametrize(
    ("images", "masks", "valid", "ungood"),
    [
        ("img", "label", "valid", "Ungood"),
        ("img", "anomaly_mask", "val", "Ungood"),
        ("", "", "valid", "ungood"),
    ],
)
def test_bmad(build, tmp_path, images, masks, valid, ungood):
    root = tmp_path / "bmad" / "BraTS2021" / "BraTS2021_slice"
    for i in range(4):
        save_image(root / "train/good" / (images if i % 2 else "") / f"0000{i}_60.png", i)
    shutil.rmtree(root / "train")
    for i in range(4):
        save_image(root / "train/good" / images / f"0000{i // 2}_{60 + i}.png", i)
    for j, split in enumerate((valid, "test")):
        save_image(root / split / "good" / images / f"0001{j}_60.png", 10 + j)
        save_image(root / split / ungood / images / f"0002{j}_60.png", 20 + j)
        if masks:
            save_mask(root / split / "good" / masks / f"0001{j}_60.png")
            save_mask(root / split / ungood / masks / f"0002{j}_60.png")
    entry = {"reader": "bmad", "path": str(tmp_path / "bmad"), "category": "BraTS2021"}
    dataset, _ = build(entry)
    assert count(dataset.table) == {
        ("train", "good"): 4,
        ("val", "good"): 1,
        ("val", "ungood"): 1,
        ("test", "good"): 1,
        ("test", "ungood"): 1,
    }
    assert dataset.table.group.tolist()[:4] == ["00000", "00000", "00001", "00001"]
    assert dataset.has_masks == bool(masks)
    assert dataset.table.has_mask.sum() == (2 if masks else 0)


def test_bmad_oct2017(tmp_path):
    root = tmp_path / "OCT2017"
    save_image(root / "train/good/NORMAL-1001-1.jpeg", 0)
    save_image(root / "val/good/NORMAL-1002-1.jpeg", 1)
    save_image(root / "test/Ungood/DRUSEN-1001-2.jpeg", 2)
    listing = list_records("toy", {"reader": "bmad", "path": str(root), "category": "OCT2017"})
    assert [(r.official_split, r.label, r.group) for r in listing.records] == [
        ("train", 0, "1001"),
        ("val", 0, "1002"),
        ("test", 1, "1001"),
    ]


def test_bmad_ambiguous_category(tmp_path):
    for name in ("OCT2017_a", "OCT2017_b"):
        save_image(tmp_path / name / "train/good/0.png", 0)
    with pytest.raises(DualadError, match=r"OCT2017_a, OCT2017_b"):
        list_records("toy", {"reader": "bmad", "path": str(tmp_path), "category": "oct2017"})


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("00012_60", "00012"),
        ("BraTS2021_00012_60", "00012"),
        ("BraTS2021_00012_flair_60", "00012"),
        ("NORMAL-53018-7", "53018"),
        ("00012", ""),
        ("BraTS2021_00012", ""),
        ("scan_a", ""),
    ],
)
def test_patient(stem, expected):
    assert patient(stem) == expected


# UCSD


@pytest.fixture
def ped1(tmp_path):
    """Two training and two test clips, the second with masks, as TIFF and BMP."""
    root = tmp_path / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped1"
    for clip in ("Train/Train001", "Train/Train002", "Test/Test001", "Test/Test002"):
        for frame in range(1, 7):
            save_image(root / clip / f"{frame:03d}.tif", hash(clip) % 1000 + frame)
    for frame in range(1, 7):
        save_mask(root / f"Test/Test002_gt/{frame:03d}.bmp")
    (root / "Train/Train001/._001.tif").write_bytes(b"junk")
    (root / "Test/Test001/.DS_Store").write_bytes(b"junk")
    (root / "Test/UCSDped1.m").write_text(
        "TestVideoFile = {};\n"
        "% TestVideoFile{end+1}.gt_frame = [1:6];\n"
        "TestVideoFile{end+1}.gt_frame = [2:3, 5:6];\n"
        "TestVideoFile{end+1}.gt_frame = [4];\n"
    )
    return root


def test_ucsd(build, ped1):
    dataset, summary = build({"reader": "ucsd", "path": str(ped1.parent)})
    table = dataset.table
    assert (table.official_split == "train").sum() == 12
    assert table.groupby("group").size().to_dict() == {
        "Train001": 6,
        "Train002": 6,
        "Test001": 6,
        "Test002": 6,
    }
    assert table[table.group == "Test001"].label.tolist() == [0, 1, 1, 0, 1, 1]
    assert table[table.group == "Test002"].label.tolist() == [0, 0, 0, 1, 0, 0]
    assert table[table.has_mask].source.tolist() == ["Test/Test002/004.tif"]
    assert summary["unreadable"] == []


def test_ucsd_lists_the_known_unreadable_frame(build, ped1):
    (ped1 / "Test/Test001").rename(ped1 / "Test/Test017")
    (ped1 / "Test/Test002").rename(ped1 / "Test/Test018")
    (ped1 / "Test/Test002_gt").rename(ped1 / "Test/Test018_gt")
    (ped1 / "Test/Test017/006.tif").rename(ped1 / "Test/Test017/142.tif")
    (ped1 / "Test/Test017/142.tif").write_bytes(b"II*\0broken")
    dataset, summary = build({"reader": "ucsd", "path": str(ped1)})
    assert [item["image"] for item in summary["unreadable"]] == ["Test/Test017/142.tif"]
    assert dataset.n_images == summary["n_images"] == 23
    assert "Test/Test017/142.tif" not in set(dataset.table.source)


@pytest.mark.parametrize("frames", ["1:99999999999", "1:5000000", "3:x", "1-9"])
def test_ucsd_impossible_frames(tmp_path, frames):
    path = tmp_path / "UCSDped1.m"
    path.write_text(f"TestVideoFile{{end+1}}.gt_frame = [{frames}];\n")
    with pytest.raises(DualadError, match=r"UCSDped1\.m: .*; restore the file"):
        parse_ground_truth(path)


def test_ucsd_missing_clip(ped1):
    shutil.rmtree(ped1 / "Test/Test001")
    with pytest.raises(DualadError, match=r"UCSDped1\.m: describes 2 clips, .* holds 1"):
        list_records("toy", {"reader": "ucsd", "path": str(ped1)})


def test_ucsd_missing_frames(ped1):
    (ped1 / "Test/Test001/006.tif").unlink()
    with pytest.raises(DualadError, match=r"frame 6 of Test001"):
        list_records("toy", {"reader": "ucsd", "path": str(ped1)})


def test_ucsd_without_ground_truth(ped1):
    (ped1 / "Test/UCSDped1.m").unlink()
    with pytest.raises(DualadError, match=r"UCSDped1\.m: cannot be read"):
        list_records("toy", {"reader": "ucsd", "path": str(ped1)})


def test_ucsd_garbled_ground_truth(ped1):
    (ped1 / "Test/UCSDped1.m").write_text("TestVideoFile{end+1}.gt_frame = [all];")
    with pytest.raises(DualadError, match="cannot understand"):
        list_records("toy", {"reader": "ucsd", "path": str(ped1)})
    (ped1 / "Test/UCSDped1.m").write_text("nothing")
    with pytest.raises(DualadError, match="gt_frame"):
        list_records("toy", {"reader": "ucsd", "path": str(ped1)})


@given(st.lists(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 50))), min_size=1))
def test_ground_truth_round_trip(tmp_path_factory, clips):
    path = tmp_path_factory.mktemp("m") / "UCSDped1.m"
    lines = [
        f"TestVideoFile{{end+1}}.gt_frame = [{', '.join(f'{a}:{a + n}' for a, n in ranges)}];"
        for ranges in clips
    ]
    path.write_text("\n".join(lines))
    expected = [{f for a, n in ranges for f in range(a, a + n + 1)} for ranges in clips]
    assert parse_ground_truth(path) == expected


# MedMNIST


def save_npz(path: Path, *, shape=(28, 28), labels=None, **replaced) -> Path:
    arrays = {}
    for seed, (split, n) in enumerate((("train", 8), ("val", 4), ("test", 6))):
        arrays[f"{split}_images"] = pixels(seed, (n, *shape))
        default = (np.arange(n) % 2)[:, None].astype(np.uint8)
        arrays[f"{split}_labels"] = default if labels is None else labels(n)
    np.savez_compressed(path, **{**arrays, **replaced})
    return path


@pytest.mark.parametrize("shape", [(28, 28), (64, 64, 3), (224, 224)])
def test_medmnist(build, tmp_path, shape):
    path = save_npz(tmp_path / "toymnist.npz", shape=shape)
    dataset, _ = build({"reader": "medmnist", "path": str(path)}, image_size=shape[0])
    assert count(dataset.table) == {
        (split, defect): n // 2
        for split, n in (("train", 8), ("val", 4), ("test", 6))
        for defect in ("good", "label_1")
    }
    assert dataset.table.source[9] == "toymnist.npz/val/00001"
    if len(shape) == 2:
        expected = np.load(path)["val_images"][1] / np.float32(255)
        np.testing.assert_array_equal(dataset.images([9])[0], expected)


def test_medmnist_normal_classes(tmp_path):
    path = save_npz(tmp_path / "a.npz", labels=lambda n: (np.arange(n) % 4)[:, None])
    listing = list_records("toy", {"reader": "medmnist", "path": str(path), "normal": [1, 3]})
    assert [r.defect for r in listing.records[:4]] == ["label_0", "good", "label_2", "good"]
    with pytest.raises(DualadError, match=r"label 7.*it has 0, 1, 2, 3"):
        list_records("toy", {"reader": "medmnist", "path": str(path), "normal": [7]})


def test_medmnist_several_findings(tmp_path):
    findings = np.array([[0, 0, 0], [1, 0, 1]])
    path = save_npz(tmp_path / "a.npz", labels=lambda n: findings[np.arange(n) % 2])
    listing = list_records("toy", {"reader": "medmnist", "path": str(path)})
    assert [r.defect for r in listing.records[:2]] == ["good", "label_0+2"]


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"val_images": np.zeros((4, 28, 28, 28), np.uint8)}, "only 2-D images"),
        ({"val_images": np.zeros((4, 28, 28))}, "uint8"),
        ({"val_images": np.zeros((3, 28, 28), np.uint8)}, "3 val_images, but 4 val_labels"),
        ({"val_labels": np.zeros((4, 1))}, "expected integers"),
    ],
)
def test_medmnist_wrong_arrays(tmp_path, replaced, message):
    path = save_npz(tmp_path / "a.npz", **replaced)
    with pytest.raises(DualadError, match=message):
        list_records("toy", {"reader": "medmnist", "path": str(path)})


def test_medmnist_may_have_an_empty_set(tmp_path):
    empty = {"val_images": pixels(0, (0, 28, 28)), "val_labels": np.zeros((0, 1), np.uint8)}
    path = save_npz(tmp_path / "a.npz", **empty)
    assert len(list_records("toy", {"reader": "medmnist", "path": str(path)}).records) == 14
    empty = {f"train_{key.split('_')[1]}": value for key, value in empty.items()}
    path = save_npz(tmp_path / "a.npz", **empty)
    with pytest.raises(DualadError, match="no normal training images"):
        list_records("toy", {"reader": "medmnist", "path": str(path)})


def test_medmnist_lacks_an_array(tmp_path):
    np.savez(tmp_path / "a.npz", train_images=pixels(0, (2, 8, 8)))
    with pytest.raises(DualadError, match="no array train_labels"):
        list_records("toy", {"reader": "medmnist", "path": str(tmp_path / "a.npz")})


def test_medmnist_damaged_file(build, tmp_path):
    path = save_npz(tmp_path / "a.npz")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DualadError, match=r"a\.npz: damaged"):
        build({"reader": "medmnist", "path": str(path)})
    # A flipped byte inside an array is noticed by the checksum that the archive holds.
    with zipfile.ZipFile(save_npz(path)) as archive:
        start = archive.getinfo("val_images.npy").header_offset
    content = bytearray(path.read_bytes())
    content[start + 1000] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DualadError, match=r"a\.npz.*damaged.*val_images"):
        build({"reader": "medmnist", "path": str(path)})


def test_medmnist_path_is_a_folder(tmp_path):
    with pytest.raises(DualadError, match="is a folder"):
        list_records("toy", {"reader": "medmnist", "path": str(tmp_path)})


# Folders


def test_folder_with_splits(build, tmp_path):
    root = make_mvtec(tmp_path / "mine", ".jpg")
    save_image(root / "valid/good/0.jpg", 90)
    save_image(root / "valid/dent/0.jpg", 91)
    shutil.rmtree(root / "ground_truth/hole")
    dataset, summary = build({"reader": "folder", "path": str(root)})
    assert count(dataset.table)[("val", "dent")] == 1
    assert dataset.table.has_mask.sum() == 2
    assert summary["licence"] == summary["url"] == ""


def test_folder_without_splits(build, tmp_path):
    root = tmp_path / "mine"
    for i in range(40):
        save_image(root / f"normal/{i}.png", i)
    save_image(root / "anomalous/a.bmp", 50)
    save_image(root / "anomalous/dent/b.tif", 51)
    save_mask(root / "ground_truth/dent/b.png")
    dataset, _ = build({"reader": "folder", "path": str(root)})
    counts = count(dataset.table)
    assert counts[("test", "anomalous")] == counts[("test", "dent")] == 1
    assert counts[("train", "good")] + counts[("test", "good")] == 40
    assert 2 <= counts[("test", "good")] <= 16
    assert dataset.table[dataset.table.has_mask].source.tolist() == ["anomalous/dent/b.tif"]
    before = dataset.table.set_index("source").official_split
    dataset.close()
    save_image(root / "normal/new.png", 60)
    after = build({"reader": "folder", "path": str(root)})[0].table.set_index("source")
    assert (after.official_split[before.index] == before).all()


LOOSE = ("train/006.png", "train/good/monday/006.png", "test/006.png", "ground_truth/0_mask.png")


@pytest.mark.parametrize("reader", ["folder", "mvtec"])
@pytest.mark.parametrize("image", [*LOOSE, "drafts/000.png"])
def test_images_beside_the_layout_are_left_out_with_a_warning(mvtec, caplog, reader, image):
    save_image(mvtec / image, 7)
    save_image((mvtec / image).with_name("another.jpg"), 8)
    (mvtec / image).with_name("notes.txt").write_text("no image")
    save_image((mvtec / image).with_name(".hidden.png"), 9)
    assert len(list_records("toy", {"reader": reader, "path": str(mvtec)}).records) == 11
    assert len(caplog.records) == 1
    assert f"{mvtec}: nothing reads {image} and 1 more images; left out" in caplog.text


@pytest.mark.parametrize("reader", ["folder", "mvtec"])
@pytest.mark.parametrize("image", LOOSE)
def test_a_part_with_nothing_but_such_images_is_an_error(mvtec, reader, image):
    shutil.rmtree(mvtec / "ground_truth")
    shutil.rmtree(mvtec / Path(image).parts[0], ignore_errors=True)
    save_image(mvtec / image, 7)
    kind = "masks" if image.startswith("ground_truth") else "images"
    with pytest.raises(DualadError, match=rf"toy: .*bottle: nothing reads {image}; move {kind} to"):
        list_records("toy", {"reader": reader, "path": str(mvtec)})


def test_unsorted_images_below_the_folders_that_are_read(tmp_path, caplog):
    for seed, image in enumerate(
        ("normal/a.png", "normal/line2/b.png", "anomalous/dent/new/c.png")
    ):
        save_image(tmp_path / image, seed)
    with pytest.raises(DualadError, match=r"nothing reads anomalous/dent/new/c\.png; move"):
        list_records("toy", {"reader": "folder", "path": str(tmp_path)})
    save_image(tmp_path / "anomalous/d.png", 4)
    list_records("toy", {"reader": "folder", "path": str(tmp_path)})
    assert "nothing reads normal/line2/b.png; left out" in caplog.text


@pytest.mark.parametrize("reader", ["folder", "mvtec"])
def test_the_case_of_the_layouts_folders_does_not_matter(mvtec, reader):
    entry = {"reader": reader, "path": str(mvtec)}
    before = list_records("toy", entry).records
    for name in ("train", "test", "ground_truth"):
        (mvtec / name).rename(mvtec / name.title())
    after = list_records("toy", entry).records
    for was, now in zip(before, after, strict=True):
        assert was.source.casefold() == now.source.casefold()
        assert (was.label, was.mask is None) == (now.label, now.mask is None)


def put_mask(mvtec: Path, path: Path) -> None:
    """Copy one of the masks to another place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(next(iter((mvtec / "ground_truth/crack").iterdir())).read_bytes())


@pytest.mark.parametrize("reader", ["folder", "mvtec"])
@pytest.mark.parametrize("name", ["masks", "Ground Truth", "gt", "labels"])
def test_a_folder_of_masks_among_the_classes_is_refused(mvtec, reader, name):
    put_mask(mvtec, mvtec / "test" / name / "000.png")
    with pytest.raises(DualadError, match=rf"{name}: named like a folder of masks; move masks to"):
        list_records("toy", {"reader": reader, "path": str(mvtec)})


@pytest.mark.parametrize("reader", ["folder", "mvtec"])
@pytest.mark.parametrize("place", ["masks/crack", "test/crack/masks"])
def test_masks_that_nothing_reads_are_refused(mvtec, reader, place):
    put_mask(mvtec, mvtec / place / "000.png")
    with pytest.raises(DualadError, match=r"nothing reads .*; move masks to ground_truth/"):
        list_records("toy", {"reader": reader, "path": str(mvtec)})


def test_label_images_may_begin_with_the_word(mvtec):
    image = next(iter(sorted((mvtec / "test/crack").iterdir())))
    put_mask(mvtec, image.with_name(f"mask_{image.name}"))
    for mask in (mvtec / "ground_truth/crack").iterdir():
        mask.unlink()
    records = list_records("toy", {"reader": "folder", "path": str(mvtec)}).records
    masked = [record for record in records if record.mask and record.defect == "crack"]
    assert [record.source for record in masked] == [f"test/crack/{image.name}"]
    # Without the image that it would be about, it is an image of a mask.
    (mvtec / "train/good/mask_77.png").write_bytes(image.read_bytes())
    records = list_records("toy", {"reader": "folder", "path": str(mvtec)}).records
    assert "train/good/mask_77.png" in {record.source for record in records}


@pytest.mark.parametrize("end", ["mask", "_bin", "_m", "_defect", "_anno", "-target", "_overlay"])
def test_what_may_be_a_label_image_is_refused(mvtec, end):
    image = next(iter(sorted((mvtec / "test/crack").iterdir())))
    image.with_stem(image.stem + end).write_bytes(image.read_bytes())
    with pytest.raises(DualadError, match="may be an image, or a label image or drawing of"):
        list_records("toy", {"reader": "folder", "path": str(mvtec)})


NORMAL = ("ok", "OK", "Normal", "NEGATIVE", "no_defect", "No-Defects", "defect free", "good_2")
DEFECTS = ("Ungood", "not_good", "nok", "NG", "abnormal", "positive", "crack_2", "unmarked")
EITHER = ("good_scratch", "normal_size_hole", "ok old", "Good Morning")


@pytest.mark.parametrize("reader", ["folder", "mvtec", "bmad"])
@pytest.mark.parametrize("name", [*NORMAL, *DEFECTS])
def test_names_of_folders_of_normal_images(mvtec, reader, name):
    for part in ("train", "test"):
        (mvtec / part / "good").rename(mvtec / part / (name if part == "test" else "OK"))
    records = list_records("toy", {"reader": reader, "path": str(mvtec)}).records
    labels = {r.label for r in records if r.source.startswith(f"test/{name}/")}
    assert labels == {int(name in DEFECTS)}
    assert {r.defect for r in records if not r.label} == {"good"}


@pytest.mark.parametrize("reader", ["folder", "mvtec", "bmad"])
@pytest.mark.parametrize("name", EITHER)
def test_a_name_that_may_mean_either_is_refused(mvtec, reader, name):
    (mvtec / "test/crack").rename(mvtec / "test" / name)
    shutil.rmtree(mvtec / "ground_truth")
    with pytest.raises(DualadError, match=rf"test/{name}: .*may mean normal .*rename"):
        list_records("toy", {"reader": reader, "path": str(mvtec)})


def test_depth_images_in_a_folder_of_another_name(rope):
    for part in ("train", "test"):
        (rope / part / "good").rename(rope / part / "Good")
    shutil.move(rope / "train/Good", rope / "train/good")
    records = list_records("toy", {"reader": "mvtec3d", "path": str(rope)}).records
    assert {r.defect for r in records} == {"good", "cut"}


def test_normal_images_among_anomalous_ones_are_refused(tmp_path):
    save_image(tmp_path / "normal/a.png", 0)
    save_image(tmp_path / "anomalous/ok/b.png", 1)
    with pytest.raises(DualadError, match=r"anomalous/ok: a folder of normal images among"):
        list_records("toy", {"reader": "folder", "path": str(tmp_path)})


ENDINGS = ("_mask", "_label", "-gt", "_GT", ".mask", "_ground_truth", "_seg")


@pytest.mark.parametrize("reader", ["folder", "mvtec", "bmad"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_label_images_beside_images_are_their_masks(build, mvtec, caplog, reader, ending):
    shutil.rmtree(mvtec / "ground_truth")
    for image in [*mvtec.rglob("*.png")]:
        save_mask(image.with_name(f"{image.stem}{ending}.bmp"))
    dataset, _ = build({"reader": reader, "path": str(mvtec)})
    assert dataset.n_images == 11
    assert dataset.table.has_mask.tolist() == (dataset.table.label == 1).tolist()
    masks = dataset.masks(np.flatnonzero(dataset.table.label))
    assert masks[:, :8, :8].all() and not masks[:, 8:].any()
    assert caplog.text == ""


def test_label_images_among_unsorted_images(tmp_path):
    for name in ("normal/b", "anomalous/b", "anomalous/dent/c"):
        save_image(tmp_path / f"{name}.jpg", 0)
        save_mask(tmp_path / f"{name}_label.png")
    records = list_records("toy", {"reader": "folder", "path": str(tmp_path)}).records
    assert [(Path(r.source).name, r.mask is not None) for r in records] == [
        ("b.jpg", False),
        ("b.jpg", True),
        ("c.jpg", True),
    ]


def test_an_image_with_two_masks_is_refused(mvtec):
    save_mask(mvtec / "test/crack/000_mask.png")
    with pytest.raises(DualadError, match=r"000_mask\.png: .*000\.png has another mask"):
        list_records("toy", {"reader": "mvtec", "path": str(mvtec)})
    save_mask(mvtec / "test/crack/000_gt.png")
    with pytest.raises(DualadError, match=r"000\.png has another label image"):
        list_records("toy", {"reader": "mvtec", "path": str(mvtec)})


def test_images_that_differ_in_their_suffix_only_are_told(mvtec, caplog):
    save_image(mvtec / "train/good/000.jpg", 5)
    list_records("toy", {"reader": "mvtec", "path": str(mvtec)})
    assert "train/good: 000.jpg and 000.png differ in their suffix only" in caplog.text


def test_masks_that_fit_several_images_and_images_with_several_masks(mvtec):
    entry = {"reader": "mvtec", "path": str(mvtec)}
    extra = save_mask(mvtec / "ground_truth/crack/000.png")
    with pytest.raises(DualadError, match=r"crack/000_mask\.png: .* has another mask, "):
        list_records("toy", entry)
    extra.unlink()
    save_image(mvtec / "test/crack/000.jpg", 5)
    with pytest.raises(DualadError, match=r"000_mask\.png: .* matches 000\.jpg and 000\.png"):
        list_records("toy", entry)
    # Without masks both may stay.
    shutil.rmtree(mvtec / "ground_truth")
    assert len(list_records("toy", entry).records) == 12


def test_link_to_a_file_that_is_gone(build, mvtec):
    (mvtec / "train/good/099.png").symlink_to(mvtec / "gone.png")
    with pytest.raises(DualadError, match=r"good/099\.png: cannot be read \(No such file"):
        build({"reader": "mvtec", "path": str(mvtec)})


def test_good_in_any_case(mvtec):
    (mvtec / "test/good").rename(mvtec / "test/Good")
    records = list_records("toy", {"reader": "folder", "path": str(mvtec)}).records
    assert sorted({(r.defect, r.label) for r in records}) == [
        ("crack", 1),
        ("good", 0),
        ("hole", 1),
    ]


def test_hash_split_takes_a_fifth():
    share = np.mean([is_test(f"normal/{i}.png") for i in range(5000)])
    assert share == pytest.approx(0.2, abs=0.02)


def test_empty_folder(tmp_path):
    with pytest.raises(DualadError, match=r"no normal training images.*normal/ and anomalous/"):
        list_records("toy", {"reader": "folder", "path": str(tmp_path)})


# Embedded


def test_digits(build):
    dataset, _ = build({"reader": "digits", "normal": [3], "anomalies_per_class": 8}, workers=4)
    table = dataset.table
    assert table.label.sum() == 9 * 8
    assert (table.label == 0).sum() == 183
    assert table[table.official_split == "train"].label.sum() == 0
    assert set(table[table.official_split == "val"].label) == {0, 1}
    assert table.groupby("defect").size()["digit_4"] == 8


def test_digits_all_normal():
    with pytest.raises(DualadError, match="no anomalies"):
        list_records("toy", {"reader": "digits", "normal": list(range(10))})


def test_faces(build):
    dataset, _ = build({"reader": "faces"}, image_size=25)
    assert count(dataset.table) == {
        ("train", "good"): 60,
        ("val", "good"): 10,
        ("val", "non_face"): 25,
        ("test", "good"): 30,
        ("test", "non_face"): 75,
    }
    assert dataset.images(range(200)).std() > 0.1


def test_texture(build):
    dataset, summary = build({"reader": "texture", "texture": "gravel"}, image_size=32)
    table = dataset.table
    assert table[table.official_split == "train"].label.sum() == 0
    assert ((table.official_split != "train") & (table.label == 0)).sum() == 50
    assert table[table.label == 1].groupby("defect").size().to_dict() == {
        "foreign": 20,
        "scratch": 20,
        "spot": 20,
    }
    assert "synthetic" in summary["note"]
    share = dataset.masks(np.flatnonzero(table.label == 1)).mean(axis=(1, 2))
    assert share.min() > 0.003
    assert share.max() < 0.2


def test_texture_masks_are_exact():
    """Outside its mask a defective patch is part of the photograph but for a soft rim."""
    from scipy import ndimage

    from dualad.data.readers.embedded import PATCH, _photograph

    photograph = _photograph("brick.png")
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (PATCH, PATCH))
    listing = list_records("toy", {"reader": "texture"})
    defective = [record for record in listing.records if record.label][::9]
    for record in defective:
        near = ndimage.binary_dilation(record.mask.array, iterations=7)
        patch = record.image.array
        # A column of the patch that the defect does not touch locates it in the photograph.
        untouched = ~near
        corner = next(
            (y, x)
            for y in range(windows.shape[0])
            for x in range(windows.shape[1])
            if (windows[y, x][untouched][:50] == patch[untouched][:50]).all()
        )
        original = windows[corner]
        assert (patch[untouched] == original[untouched]).all()
        changed = patch.astype(int) - original
        assert np.abs(changed)[record.mask.array].mean() > 10


def test_texture_sets_share_no_pixel():
    """Normal patches lie in a tile of their set, and each set has tiles in all rows and columns."""
    from dualad.data.readers.embedded import _TILE, _TILE_SETS, PATCH, _photograph

    tiles = np.array(_TILE_SETS).reshape(4, 4)
    for name in ("train", "val", "test"):
        assert (tiles == name).any(axis=0).all() and (tiles == name).any(axis=1).all()
    photograph = _photograph("brick.png")
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (PATCH, PATCH))
    normal = [r for r in list_records("toy", {"reader": "texture"}).records if not r.label]
    for record in normal[::40]:
        patch = record.image.array
        rows, columns = np.nonzero((windows[:, :, 0, :40] == patch[0, :40]).all(axis=2))
        found = [
            (y, x) for y, x in zip(rows, columns, strict=True) if (windows[y, x] == patch).all()
        ]
        assert len(found) == 1
        (y, x) = found[0]
        touched = tiles[y // _TILE : (y + PATCH - 1) // _TILE + 1][
            :, x // _TILE : (x + PATCH - 1) // _TILE + 1
        ]
        assert (touched == record.official_split).all()


@pytest.mark.parametrize(("subject", "n_normal"), [("cup", 150), ("retina", 200)])
def test_views(build, subject, n_normal):
    dataset, summary = build({"reader": "views", "subject": subject}, image_size=32)
    table = dataset.table
    assert table[table.official_split == "train"].label.sum() == 0
    assert table.label.value_counts().to_dict() == {0: n_normal, 1: 60}
    assert "synthetic" in summary["note"]
    share = dataset.masks(np.flatnonzero(table.label == 1)).mean(axis=(1, 2))
    assert share.min() > 0.003
    assert share.max() < 0.2
    # All show the same, and no two are the same.
    normal = dataset.images(np.flatnonzero(table.label == 0)).reshape(n_normal, -1)
    assert np.corrcoef(normal).min() > 0.6
    assert len(np.unique(normal, axis=0)) == n_normal


def test_views_show_nothing_beyond_the_photograph():
    """A corner of the cup's table is never black, as what lies beyond an image would be."""
    records = list_records("toy", {"reader": "views", "subject": "cup"}).records
    corners = [record.image.array[-4:, -4:].mean() for record in records if not record.label]
    assert min(corners) > 10


def test_subjects_have_their_defects_at_places_of_their_own():
    entries = [{"reader": "views", "subject": subject} for subject in ("cup", "retina")]
    first = [
        next(record for record in list_records("toy", entry).records if record.label)
        for entry in entries
    ]
    assert (first[0].mask.array != first[1].mask.array).any()


def test_texture_depends_on_its_seed_alone():
    def first(seed):
        records = list_records("toy", {"reader": "texture", "seed": seed}).records
        return records[-1].image.array

    assert (first(1) == first(1)).all()
    assert (first(1) != first(2)).any()


# In colour


@pytest.mark.parametrize(
    "reader",
    [
        *("mvtec", "depth", "rgb", "bmad", "ucsd", "medmnist", "medmnist_colour", "folder"),
        *("digits", "faces", "texture", "views"),
    ],
)
def test_the_colour_cache_has_the_same_rows(build, tmp_path, request, reader):
    """Every image in the same order, with the same table, hashes and masks."""
    color_source = reader in ("mvtec", "rgb", "medmnist_colour", "folder")
    entry = {"reader": reader}
    if reader in ("mvtec", "folder"):
        entry["path"] = str(make_mvtec(tmp_path / "data"))
    elif reader in ("depth", "rgb"):
        rope = request.getfixturevalue("rope")
        entry = {"reader": "mvtec3d", "path": str(rope), "modality": reader}
    elif reader == "bmad":
        for i, folder in enumerate(("train/good", "val/good", "test/good/img", "test/Ungood/img")):
            save_image(tmp_path / "b" / folder / f"0000{i}_60.png", i)
        save_mask(tmp_path / "b/test/Ungood/label/00003_60.png")
        entry["path"] = str(tmp_path / "b")
    elif reader == "ucsd":
        entry["path"] = str(request.getfixturevalue("ped1"))
    elif reader.startswith("medmnist"):
        shape = (28, 28, 3) if color_source else (28, 28)
        entry = {"reader": "medmnist", "path": str(save_npz(tmp_path / "a.npz", shape=shape))}

    gray, about = build(entry, image_size=24)
    rows = range(gray.n_images)
    table, masks, images = gray.table, gray.masks(rows), gray.images(rows)
    gray.close()
    color, about_color = build(entry, image_size=24, color=True)
    pd.testing.assert_frame_equal(color.table, table)
    np.testing.assert_array_equal(color.masks(rows), masks)
    assert about_color == about
    assert color.depth_range == gray.depth_range
    found = color.images(rows)
    assert found.shape == (*images.shape, 3) and found.dtype == np.float32
    if color_source:
        assert (found[..., 0] != found[..., 1]).any()
        weights = np.float32([0.299, 0.587, 0.114])
        np.testing.assert_allclose(found @ weights, images, atol=0.01)
    else:
        np.testing.assert_array_equal(found, images[..., np.newaxis].repeat(3, axis=-1))
    if reader == "depth":
        # Missing points stay apart from the nearest valid ones.
        assert (found == 0).any() and found[found > 0].min() >= 0.1 - 1e-6


# Entries


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, r"datasets\.toy\.reader: missing; choose one of mvtec"),
        ({"reader": "mvtek"}, r"toy\.reader: 'mvtek' does not fit; .* mvtec, mvtec3d"),
        (
            {"reader": "mvtec", "path": "x", "categroy": "a"},
            r"toy\.categroy: unknown key; did you mean category",
        ),
        ({"reader": "digits", "path": "x"}, r"toy\.path: unknown key"),
        ({"reader": "mvtec"}, r"toy\.path: missing.*mvtec_ad"),
        ({"reader": "folder"}, r"toy\.path: missing; expected folder of the images"),
        ({"reader": "medmnist"}, r"toy\.path: missing; .* download: pneumoniamnist or"),
        ({"reader": "mvtec", "path": 3}, r"toy\.path: 3 does not fit; expected folder"),
        ({"reader": "digits", "normal": 3}, r"toy\.normal: 3 does not fit; .*a list"),
        ({"reader": "digits", "normal": [10]}, r"normal\[0\]: 10 does not fit; .*from 0 to 9"),
        ({"reader": "digits", "normal": [1, 1]}, "names something twice"),
        ({"reader": "texture", "texture": "wood"}, "brick, grass or gravel"),
        ({"reader": "texture", "seed": True}, "True does not fit; .*an integer from 0 to"),
        ({"reader": "faces", "skip_unreadable": 1}, "1 does not fit; .*true or false"),
        ({"reader": "mvtec", "download": "bmad"}, "'bmad' does not fit; .*mvtec_ad"),
    ],
)
def test_wrong_entries(entry, message):
    with pytest.raises(DualadError, match=message):
        parse_entry("toy", entry)


def test_keys_of_the_split_are_left_alone():
    _, options = parse_entry("toy", {"reader": "digits", "protocol": "paper"})
    assert options == {"normal": (0,), "anomalies_per_class": 20, "skip_unreadable": False}


def test_images_of_the_same_name(tmp_path):
    from dualad.data.options import Request
    from dualad.data.records import Listing, Record
    from dualad.data.registry import READERS, _check

    record = Record("a", None, "train", 0, "good")
    with pytest.raises(DualadError, match="2 images have the same name a"):
        _check(Request("toy", tmp_path, {}), Listing([record, record]), READERS["folder"])


# What a message names


@pytest.mark.parametrize("reader", ["folder", "mvtec"])
def test_masks_of_normal_images_are_left_out(mvtec, reader, caplog):
    save_mask(mvtec / "ground_truth/good/000.png")
    with caplog.at_level("INFO"):
        listing = list_records("toy", {"reader": reader, "path": str(mvtec)})
    assert sum(record.mask is not None for record in listing.records) == 3
    assert "1 masks of normal images are left out" in caplog.text


@pytest.mark.parametrize("reader", ["folder", "mvtec"])
def test_a_folder_of_masks_per_image_is_refused_as_such(mvtec, reader):
    shutil.rmtree(mvtec / "ground_truth")
    save_mask(mvtec / "ground_truth/crack/000/000.png")
    with pytest.raises(DualadError, match=r"crack/000: a folder of masks for one image.*join"):
        list_records("toy", {"reader": reader, "path": str(mvtec)})


def test_a_root_of_several_categories_asks_for_one(mvtec):
    with pytest.raises(DualadError, match=r"set datasets\.toy\.category to one of bottle"):
        list_records("toy", {"reader": "mvtec", "path": str(mvtec.parent)})
    with pytest.raises(DualadError, match=r"datasets\.toy\.path be one of them"):
        list_records("toy", {"reader": "folder", "path": str(mvtec.parent)})


def test_one_hot_labels_are_refused_as_such(tmp_path):
    arrays = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = np.zeros((3, 8, 8), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.eye(3, dtype=np.uint8)
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DualadError, match=r"one-hot.*argmax"):
        list_records("toy", {"reader": "medmnist", "path": str(tmp_path / "a.npz")})
