"""What `dualad inspect` finds out, on folders with one oddity each."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from samples import make_mvtec, pixels, save_depth, save_image, save_mask

from dualad.cli import main
from dualad.data.inspection import inspect
from dualad.data.inspection_text import grouped, inspection_text
from dualad.data.layouts import guess_entry
from dualad.data.oddities import oddities
from dualad.errors import DualadError


def found(root: Path, **keys: object) -> str:
    """The oddities of a folder, as lines."""
    return "\n".join(oddities(inspect(root, keys)))


def test_counts_masks_and_configuration_of_a_sound_folder(mvtec, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    assert main(["inspect", str(mvtec), "--sheet", str(sheet)]) == 0
    text = capsys.readouterr().out
    assert "11 images" in text and "24x20 (11)" in text and "PNG RGB, 8 bits (11)" in text
    assert [len(images) for _, images in grouped(inspect(mvtec))] == [6, 2, 2, 1]
    lines = text.split("Configuration\n\n")[1].split("\n\nwrote")[0]
    assert yaml.safe_load(lines) == {
        "datasets": {"bottle": {"reader": "folder", "path": str(mvtec)}}
    }
    with Image.open(sheet) as image:
        assert (220, 30, 30) in {color for _, color in image.getcolors(1 << 20)}


def test_everything_that_would_be_refused_is_listed_at_once(mvtec, tmp_path, capsys):
    (mvtec / "train/good/000.png").write_bytes(b"")
    (mvtec / "train/good/001.png").write_bytes(b"text")
    (mvtec / "train/good/link.png").symlink_to("nowhere.png")
    save_mask(mvtec / "ground_truth/crack/000_mask.png", (4, 4))
    assert main(["inspect", str(mvtec), "--sheet", str(tmp_path / "s.png")]) == 1
    text = capsys.readouterr().out
    for words in ("000.png: the file is empty", "001.png: not an image", "link.png", "4x4 pixels"):
        assert words in text
    assert len(inspect(mvtec).unreadable) == 4


def test_a_folder_that_its_reader_refuses_is_listed_by_folder(mvtec, capsys, tmp_path):
    save_mask(mvtec / "ground_truth/crack/099_mask.png")
    assert main(["inspect", str(mvtec), "--sheet", str(tmp_path / "s.png")]) == 1
    text = capsys.readouterr().out
    assert "matches no image" in text and "test/crack" in text and "Configuration" not in text


def test_what_cannot_be_inspected_ends_in_a_message(tmp_path, capsys):
    for path in (tmp_path / "absent", tmp_path):
        assert main(["inspect", str(path), "--sheet", str(tmp_path / "s.png")]) == 1
        assert str(path) in capsys.readouterr().err
    assert not (tmp_path / "s.png").exists()


def test_an_unknown_key_is_refused(mvtec):
    assert "wrong" in inspect(mvtec, {"wrong": 1}).refusal
    assert "reader" in inspect(mvtec, {"reader": "nothing"}).refusal


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: _save(root / "train/good/x.jpg", exif=6), "orientation 6 (1)"),
        (lambda root: _save(root / "train/good/x.png", mode="RGBA"), "transparent"),
        (lambda root: _save(root / "train/good/x.png", mode="L"), "channels differs"),
        (lambda root: _save(root / "train/good/x.png", color=(9, 9, 9)), "single colour"),
        (
            lambda root: save_image(root / "train/good/x.png", 0, (10, 40, 3)),
            "and height differ",
        ),
        (
            lambda root: save_image(root / "train/good/x.png", 10, (20, 24, 3)),
            "which are left out",
        ),
        (lambda root: save_image(root / "test/hole/x.png", 10, (20, 24, 3)), "both normal and"),
        (lambda root: save_image(root / "test/hole/x.png", 99, (20, 24, 3)), "no mask for"),
        (lambda root: save_mask(root / "ground_truth/good/000.png"), "masks of normal images"),
        (lambda root: save_image(root / "other/x.png", 99, (20, 24, 3)), "nothing reads other"),
        (lambda root: _empty_mask(root / "ground_truth/hole/000_mask.png"), "no anomalous pixel"),
        (lambda root: _jpeg_mask(root / "ground_truth/hole/000_mask"), "lossy compression"),
        (lambda root: _palette_mask(root / "ground_truth/hole/000_mask.png"), "a palette"),
        (lambda root: save_image(root / f"train/good/{'x' * 220}.png", 0), "200 bytes"),
    ],
)
def test_an_oddity_is_told(mvtec, make, words):
    make(mvtec)
    assert words in found(mvtec)


def _save(path, mode="RGB", color=None, exif=None):
    image = Image.fromarray(pixels(50, (20, 20, 3)))
    if color:
        image = Image.new("RGB", (20, 20), color)
    tags = Image.Exif()
    if exif:
        tags[0x0112] = exif
    image.convert(mode).save(path, exif=tags)


def _empty_mask(path):
    Image.fromarray(np.zeros((20, 24), dtype=np.uint8)).save(path)


def _jpeg_mask(stem):
    png = stem.with_suffix(".png")
    with Image.open(png) as mask:
        mask.save(stem.with_suffix(".jpg"), quality=95)
    png.unlink()


def _palette_mask(path):
    with Image.open(path) as mask:
        palette = mask.convert("RGB").quantize(2)
    palette.save(path)


def test_a_file_format_that_tells_the_classes_apart(tmp_path):
    for index in range(6):
        save_image(tmp_path / f"normal/{index}.png", index, (20, 20, 3))
        save_image(tmp_path / f"anomalous/{index}.bmp", 9 + index, (20, 20, 3))
    assert "the file format alone tells normal from anomalous" in found(tmp_path)


def test_12_bit_images_and_their_range(tmp_path):
    for index in range(8):
        for folder in ("normal", "anomalous"):
            path = tmp_path / folder / f"{index}.png"
            path.parent.mkdir(exist_ok=True)
            values = 2000 + 4 * pixels(index + 20 * len(folder), (16, 16)).astype(np.uint16)
            Image.fromarray(values).save(path)
    inspection = inspect(tmp_path)
    assert inspection.value_range is not None and inspection.value_range[1] < 4096
    assert "is shown as black" in inspection_text(inspection)


def test_several_frames_are_refused(mvtec):
    frames = [Image.fromarray(pixels(seed, (20, 20, 3))) for seed in (50, 51)]
    frames[0].save(mvtec / "train/good/x.gif", save_all=True, append_images=frames[1:])
    assert "2 frames" in inspect(mvtec).unreadable[0].problem


def test_an_ambiguous_name_is_refused(mvtec):
    save_image(mvtec / "test/good_scratch/0.png", 0)
    assert "may mean normal images or a defect" in inspect(mvtec).refusal


def test_a_protocol_without_validation_anomalies_is_told(mvtec):
    assert "rule: quantile" in found(mvtec, protocol="official")


def test_guessed_readers(tmp_path):
    make_mvtec(tmp_path / "a")
    assert guess_entry(tmp_path / "a") == {"reader": "folder"}
    save_image(tmp_path / "b/train/good/img/0.png", 0)
    assert guess_entry(tmp_path / "b") == {"reader": "bmad"}
    save_depth(_parent(tmp_path / "c/train/good/xyz/0.tiff"), np.ones((4, 4)))
    assert guess_entry(tmp_path / "c") == {"reader": "mvtec3d"}
    (tmp_path / "UCSDped2").mkdir()
    assert guess_entry(tmp_path / "UCSDped2") == {"reader": "ucsd", "subset": "UCSDped2"}
    save_image(tmp_path / "d/0.png", 0)
    with pytest.raises(DualadError, match="no folder marks as normal or anomalous"):
        guess_entry(tmp_path / "d")
    (tmp_path / "e/scratched").mkdir(parents=True)
    with pytest.raises(DualadError, match="only scratched"):
        guess_entry(tmp_path / "e")
    with pytest.raises(DualadError, match="in each of crates"):
        make_mvtec(tmp_path / "f/crates")
        guess_entry(tmp_path / "f")


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_a_file_of_medmnist_and_its_keys(tmp_path, capsys):
    arrays = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = pixels(len(split), (8, 8, 8))
        arrays[f"{split}_labels"] = np.arange(8)[:, None] % 2
    np.savez(tmp_path / "toy.npz", **arrays)
    sheet = tmp_path / "s.png"
    arguments = [str(tmp_path / "toy.npz"), "--set", "normal=[1]", "--sheet", str(sheet)]
    assert main(["inspect", *arguments]) == 0
    text = capsys.readouterr().out
    assert "label_0" in text and "normal:\n    - 1" in text


def test_what_looks_odd_is_found_without_tensorflow():
    import subprocess
    import sys

    code = "import dualad.data.inspection_text, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_who_reads_no_further_ends_it_without_a_traceback(mvtec, tmp_path):
    command = f"{sys.executable} -m dualad.cli inspect {mvtec} --sheet {tmp_path}/s.png | true"
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    run = subprocess.run(
        command, shell=True, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in run.stderr and "BrokenPipe" not in run.stderr
