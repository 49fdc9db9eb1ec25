"""`dualad score`: a results folder and a folder of new images in, a CSV and overlays out."""

import csv
import errno
import hashlib
import html
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow_setup  # noqa: F401
from finished_methods import METHODS, finish_methods, write_photographs
from PIL import Image

from dualad.cli import main
from dualad.data.dataset import Dataset
from dualad.errors import DualadError
from dualad.methods.controls import PrincipalComponents
from dualad.results.recommendation import write_recommendation
from dualad.runtime import Runtime
from dualad.scored_folder import score_folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photographs(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    return finish_methods(tmp_path_factory.mktemp("results"), images)


@pytest.mark.parametrize("name", METHODS)
def test_the_test_images_score_as_in_the_results(
    name: str, images: Path, results: Path, tmp_path: Path
) -> None:
    assert main(["score", str(results / name), str(images), "--out", str(tmp_path)]) == 0
    found = pd.read_csv(tmp_path / "scores.csv").set_index("image")
    expected = pd.read_csv(results / name / "scores.csv").set_index("image")
    found = found.loc[expected.index]
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-5)
    np.testing.assert_allclose(found["probability"], expected["probability"], rtol=1e-4)
    assert found["decision"].tolist() == expected["decision"].tolist()
    is_new = (expected["split"] == "test") | (expected["label"] == 1)
    np.testing.assert_allclose(found.loc[is_new, "p_value"], expected.loc[is_new, "p_value"])
    overlays = [Image.open(path) for path in (tmp_path / "overlays").rglob("*.png")]
    with Dataset(results / "dataset.h5") as dataset:
        assert len(overlays) == dataset.n_images
    # Whole multiples of the images' sides, 24 by 20 pixels.
    assert {image.size for image in overlays} == {(264, 220)}
    assert found["uncertainty"].notna().all() == (name == "dual")


def test_the_folder_of_a_dataset_scores_with_its_recommended_method(
    images: Path, results: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Dark images are no anomaly to `red`, whose score is the red channel."""
    arguments = [str(images), "--out", str(tmp_path / "own"), "--no-overlays"]
    write_recommendation(results, ["red", "pca"])
    try:
        with caplog.at_level("INFO"):
            assert main(["score", str(results), *arguments]) == 0
    finally:
        (results / "recommended.json").unlink()
    assert "the recommended method is pca: highest validation AUROC" in caplog.text
    score_folder(results / "pca", images, tmp_path / "pca", Runtime(), overlays=False)
    found, expected = (tmp_path / f"{name}/scores.csv" for name in ("own", "pca"))
    assert found.read_bytes() == expected.read_bytes()


def test_the_folder_of_a_dataset_without_a_recommendation_names_the_target(
    images: Path, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(results), str(images), "--out", str(tmp_path)]) == 1
    told = f"results/{results.name}/recommended.json --configfile"
    assert told in capsys.readouterr().err


def test_unreadable_images_are_listed_and_the_rest_is_scored(
    results: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new"
    (new / "sub").mkdir(parents=True)
    good = (images / "test/good/0.png").read_bytes()
    (new / "sub" / "fine.png").write_bytes(good)
    (new / "cut.png").write_bytes(good[:60])
    (new / "empty.png").write_bytes(b"")
    (new / ".hidden").write_text("not an image")
    out = tmp_path / "out"
    assert main(["score", str(results / "pca"), str(new), "--out", str(out), "--no-overlays"]) == 1
    assert "2 of the files could not be read or drawn" in capsys.readouterr().err
    assert pd.read_csv(out / "scores.csv")["image"].tolist() == ["sub/fine.png"]
    with (out / "unreadable.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["cut.png", "empty.png"]
    assert all(row["image"] in row["reason"] for row in rows)
    assert not (out / "overlays").exists()


@pytest.fixture
def scored(
    images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Callable[..., tuple[pd.DataFrame, str]]:
    """Score the images with the model in a folder; the table, and what was logged."""

    def score(folder: Path, **options: Any) -> tuple[pd.DataFrame, str]:
        caplog.clear()
        with caplog.at_level("INFO"):
            score_folder(folder, images, tmp_path / "out", Runtime(), overlays=False, **options)
        table = pd.read_csv(tmp_path / "out" / "scores.csv", keep_default_na=False)
        return table, caplog.text

    return score


def test_a_row_says_why_its_decision_and_its_probability_differ(
    results: Path, tmp_path: Path, scored: Callable[..., tuple[pd.DataFrame, str]]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(results / "pca", model)
    content = json.loads((model / "threshold.json").read_text())
    table, log = scored(model)
    assert list(table)[:8] == [
        *("image", "score", "decision", "probability", "uncertainty", "threshold_probability"),
        *("remark", "p_value"),
    ]
    validation = content["validation"]
    rate = validation["n_anomalous"] / (validation["n_normal"] + validation["n_anomalous"])
    assert f"hold where {100 * rate:.3g} % of the images are anomalous, as in validation" in log
    flagged = int((table["decision"] == 1).sum())
    assert f"{flagged} of {len(table)} images called anomalous: score above" in log
    # A threshold so low that everything is flagged, improbable as it is.
    content["threshold"] = -1e6
    (model / "threshold.json").write_text(json.dumps(content))
    table, log = scored(model)
    below = table["probability"] < 0.5
    assert (table["decision"] == 1).all() and 0 < below.sum() < len(table)
    assert (table.loc[below, "remark"].str.startswith("called anomalous, though")).all()
    assert (table.loc[~below, "remark"] == "").all()
    assert f"{below.sum()} images called anomalous, though more probably normal" in log


def test_probabilities_can_be_had_at_another_base_rate(
    results: Path, scored: Callable[..., tuple[pd.DataFrame, str]]
) -> None:
    usual, _ = scored(results / "dual")
    rare, log = scored(results / "dual", base_rate=0.01)
    assert "hold where 1 % of the images are anomalous; the threshold lies" in log
    unchanged = ["image", "score", "decision", "p_value"]
    assert rare[unchanged].equals(usual[unchanged])
    for column in ("probability", "mc_probability", "threshold_probability"):
        assert (rare[column] < usual[column]).all()
    above = rare["probability"] > rare["threshold_probability"]
    assert (above == (usual["probability"] > usual["threshold_probability"])).all()


def test_a_base_rate_that_is_none_is_refused(
    results: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(images), "--out", str(tmp_path / "out"), "--no-overlays"]
    for wrong in ("0", "1", "nan", "-3"):
        assert main(["score", str(results / "pca"), *arguments, f"--base-rate={wrong}"]) == 1
        assert "give the share of anomalies, between 0 and 1" in capsys.readouterr().err
    model = tmp_path / "model"
    shutil.copytree(results / "pca", model)
    content = json.loads((model / "threshold.json").read_text()) | {"calibrator": None}
    (model / "threshold.json").write_text(json.dumps(content))
    assert main(["score", str(model), *arguments, "--base-rate=0.1"]) == 1
    assert "so it has no probabilities; leave the base rate out" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["score", str(model), *arguments]) == 0
    found = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert found["probability"].isna().all() and found["threshold_probability"].isna().all()
    assert found["remark"].isna().all() and found["p_value"].notna().all()


def test_a_model_of_version_0_2_scores_without_p_values(
    results: Path, tmp_path: Path, scored: Callable[..., tuple[pd.DataFrame, str]]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(results / "dual", model)
    content = json.loads((model / "threshold.json").read_text())
    del content["normal_scores"], content["mc"]["normal_scores"]
    del content["method"]["threshold"]["alpha"]
    (model / "threshold.json").write_text(json.dumps(content))
    old, _ = scored(model)
    new, _ = scored(results / "dual")
    assert (old["p_value"] == "").all() and (new["p_value"] != "").all()
    for column in ("decision", "probability", "threshold_probability", "remark"):
        assert old[column].tolist() == new[column].tolist()


def test_batches_are_as_large_as_the_method_asks_for(
    results: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = score_folder(results / "pca", images, tmp_path / "whole", Runtime(), overlays=False)
    sizes: list[int] = []
    score = PrincipalComponents.score
    monkeypatch.setattr(PrincipalComponents, "scoring_batch", 30)
    monkeypatch.setattr(
        PrincipalComponents,
        "score",
        lambda self, batch: (sizes.append(len(batch)), score(self, batch))[1],
    )
    assert found == score_folder(results / "pca", images, tmp_path / "parts", Runtime(), False)
    # The gallery shows all images, and none is scored a second time.
    assert sizes == [30, 14]
    # Products of matrices of another height may round otherwise.
    whole, parts = (pd.read_csv(tmp_path / name / "scores.csv") for name in ("whole", "parts"))
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-6)


def test_an_overlay_is_hot_where_the_image_is_anomalous(results: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    pixels = np.full((30, 30, 3), 90, dtype=np.uint8)
    pixels[:12, :12, 0] = 200
    Image.fromarray(pixels).save(new / "corner.png")
    assert main(["score", str(results / "red"), str(new), "--out", str(tmp_path)]) == 0
    picture = np.asarray(Image.open(tmp_path / "overlays/corner.png.png")).astype(int)
    assert picture[20, 20].sum() > picture[200, 200].sum() + 100
    # Where nothing is wrong the image shows in its own colours.
    np.testing.assert_allclose(picture[250, 250], 90, atol=2)


def test_what_an_earlier_call_wrote_is_not_scored(
    results: Path, images: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    (new / "a.png").write_bytes((images / "test/good/0.png").read_bytes())
    (new / "Thumbs.db").write_bytes(b"left by a file manager")
    # A name that is not UTF-8, as old archives have.
    (new / os.fsdecode(b"b\xff.png")).write_bytes((images / "test/good/1.png").read_bytes())
    for _ in range(2):
        arguments = [str(results / "pca"), str(new), "--out", str(new / "scored")]
        assert main(["score", *arguments]) == 0
        assert len(list((new / "scored/overlays").iterdir())) == 2
        text = (new / "scored/scores.csv").read_bytes()
        assert [line.split(b",")[0] for line in text.splitlines()] == [
            b"image",
            b"a.png",
            b"b\xff.png",
        ]


@pytest.mark.parametrize("file", ["fit.json", "threshold.json"])
def test_damaged_results_are_named(
    results: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    shutil.copytree(results / "pca", tmp_path / "pca")
    (tmp_path / "pca" / file).write_text('{"family": ')
    assert main(["score", str(tmp_path / "pca"), str(images), "--out", str(tmp_path / "o")]) == 1
    assert f"{file}: cannot be read" in capsys.readouterr().err


def test_mistakes_name_the_folder(
    results: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(results.parent), str(images), "--out", str(tmp_path)]) == 1
    assert "no fit.json; name the results folder of one method" in capsys.readouterr().err
    assert main(["score", str(results / "pca"), str(tmp_path / "absent")]) == 1
    assert "absent: no such folder of images" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert (
        main(["score", str(results / "pca"), str(tmp_path / "empty"), "--out", str(tmp_path)]) == 1
    )
    assert "none of 0 files is a readable image" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    arguments = [str(results / "pca"), str(images), "--out", str(tmp_path / "file")]
    assert main(["score", *arguments]) == 1
    assert "file: cannot be written (File exists)" in capsys.readouterr().err
    before = (results / "pca/scores.csv").read_bytes()
    assert main(["score", *arguments[:2], "--out", str(results / "pca")]) == 1
    assert "pca: holds the results of a fitted method" in capsys.readouterr().err
    assert (results / "pca/scores.csv").read_bytes() == before
    for option in ("--threads", "--gpu-memory-mb"):
        with pytest.raises(SystemExit):
            main(["score", *arguments, option, "0"])
        assert f"{option}: 0 is not a whole number above 0" in capsys.readouterr().err


def test_new_images_of_more_than_8_bits_are_shown_by_the_range_of_training(
    results: Path, tmp_path: Path
) -> None:
    """2048 of 4095 is the grey 128 of 255; reports of earlier versions have no such range."""
    model, images = tmp_path / "pca", tmp_path / "images"
    shutil.copytree(results / "pca", model)
    images.mkdir()
    Image.fromarray(np.full((20, 24), 128, dtype=np.uint8)).save(images / "shallow.png")
    Image.fromarray(np.full((20, 24), 2048, dtype=np.uint16)).save(images / "deep.png")
    report = json.loads((model / "fit.json").read_text())
    for version in ("new", "old"):
        report["value_range"] = [0, 4095]
        if version == "old":
            del report["value_range"]
        (model / "fit.json").write_text(json.dumps(report))
        assert score_folder(model, images, tmp_path / version, Runtime(), overlays=False) == []
        deep, shallow = pd.read_csv(tmp_path / version / "scores.csv")["score"]
        assert (deep == shallow) == (version == "new")


@pytest.fixture
def new(images: Path, tmp_path: Path) -> Path:
    """A folder with one image to score, `a.png`."""
    folder = tmp_path / "new"
    folder.mkdir()
    shutil.copy(images / "test/good/0.png", folder / "a.png")
    return folder


def scored_images(out: Path) -> list[str]:
    return list(pd.read_csv(out / "scores.csv")["image"])


def test_linked_folders_are_scored_and_links_to_nothing_are_listed(
    results: Path, images: Path, new: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(images / "test/dark/0.png", tmp_path / "elsewhere/b.png")
    (new / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(new)
    (new / "up").symlink_to("..")
    (new / "gone.png").symlink_to(tmp_path / "nowhere.png")
    out = tmp_path / "out"
    arguments = [str(results / "pca"), str(new), "--out", str(out), "--no-overlays"]
    assert main(["score", *arguments]) == 1
    assert scored_images(out) == ["a.png", "linked/b.png"]
    (row,) = pd.read_csv(out / "unreadable.csv").to_dict("records")
    assert row["image"] == "gone.png"
    assert f"leads to {tmp_path / 'nowhere.png'}, which cannot be found" in row["reason"]


def test_only_what_an_earlier_call_wrote_is_removed(
    results: Path, images: Path, new: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (new / "sub").mkdir()
    shutil.copy(images / "test/dark/0.png", new / "sub/b.png")
    score_folder(results / "pca", new, out, Runtime())
    (out / "overlays/mine.png").write_bytes(b"not yours")
    (out / "notes.txt").write_text("not yours")
    shutil.rmtree(new / "sub")
    score_folder(results / "pca", new, out, Runtime())
    left = sorted(path.relative_to(out).as_posix() for path in out.rglob("*"))
    assert left == [
        ".dualad-score.json",
        "drift.json",
        "gallery.html",
        "notes.txt",
        "overlays",
        "overlays/a.png.png",
        "overlays/mine.png",
        "scores.csv",
        "unreadable.csv",
    ]


def test_after_a_failure_nothing_of_an_earlier_call_remains(
    results: Path, images: Path, new: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    score_folder(results / "pca", new, out, Runtime())
    with pytest.raises(DualadError, match="no such folder"):
        score_folder(results / "pca", tmp_path / "absent", out, Runtime())
    assert list(out.iterdir()) == []
    score_folder(results / "pca", new, out, Runtime())
    (new / "a.png").write_bytes(b"damaged")
    with pytest.raises(DualadError, match="none of 1 files is a readable image"):
        score_folder(results / "pca", new, out, Runtime())
    left = sorted(path.name for path in out.iterdir())
    assert left == [".dualad-score.json", "unreadable.csv"]
    assert list(pd.read_csv(out / "unreadable.csv")["image"]) == ["a.png"]


def test_what_version_0_1_wrote_is_removed_without_a_list(
    results: Path, images: Path, new: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    score_folder(results / "pca", new, out, Runtime())
    for later in (".dualad-score.json", "drift.json", "gallery.html"):
        (out / later).unlink()
    shutil.move(new / "a.png", new / "b.png")
    score_folder(results / "pca", new, out, Runtime())
    assert [path.name for path in (out / "overlays").iterdir()] == ["b.png.png"]


def test_the_gallery_of_many_images_shows_those_of_all_batches(
    results: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_folder(results / "pca", images, tmp_path / "all", Runtime())
    monkeypatch.setattr("dualad.scored_folder.MOST_PICTURES", 3)
    score_folder(results / "pca", images, tmp_path / "few", Runtime())
    pages = [(tmp_path / name / "gallery.html").read_text() for name in ("all", "few")]
    assert pages[0] == pages[1] and pages[0].count("data:image/webp") > 6


def test_ctrl_c_ends_it_in_one_line_and_the_next_call_begins_again(
    results: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    arguments = ["score", str(results / "pca"), str(images), "--out", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr("dualad.scored_folder.write_scored_gallery", interrupted)
        assert main(arguments) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not (tmp_path / "scores.csv").exists()
    assert main(arguments) == 0 and (tmp_path / "scores.csv").exists()


@pytest.mark.parametrize("name", ["scores.csv", "overlays/a.png.png"])
def test_a_file_that_no_call_wrote_is_not_overwritten(
    name: str, results: Path, new: Path, tmp_path: Path
) -> None:
    own = tmp_path / "out" / name
    own.parent.mkdir(parents=True)
    own.write_text("part,count\nscrew,3\n")
    with pytest.raises(DualadError, match=rf"{name}: no earlier `dualad score` wrote this"):
        score_folder(results / "pca", new, tmp_path / "out", Runtime())
    assert own.read_text() == "part,count\nscrew,3\n"


@pytest.mark.parametrize("text", ["{", "[]", '{"files": ["../precious"]}', '{"files": ["notes"]}'])
def test_a_damaged_list_of_files_removes_nothing(
    text: str, results: Path, new: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for own in (tmp_path / "precious", out / "notes"):
        own.write_text("")
    (out / ".dualad-score.json").write_text(text)
    with pytest.raises(DualadError, match=r"dualad-score\.json: the list .* is damaged"):
        score_folder(results / "pca", new, out, Runtime())
    assert (tmp_path / "precious").exists() and (out / "notes").exists()


def test_what_calls_wrote_among_the_images_is_not_scored(
    results: Path, new: Path, tmp_path: Path
) -> None:
    score_folder(results / "pca", new, new / "first", Runtime())
    (new / "first/overlays/own.png").write_bytes((new / "a.png").read_bytes())
    score_folder(results / "pca", new, tmp_path / "out", Runtime())
    assert scored_images(tmp_path / "out") == ["a.png", "first/overlays/own.png"]


def heat_of(overlay: Path) -> float:
    """Largest difference between the channels of an overlay over a grey image."""
    picture = np.asarray(Image.open(overlay)).astype(int)
    return float(np.ptp(picture, axis=2).max())


def test_a_good_image_glows_less_than_a_bad_one(
    results: Path, images: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    good = np.asarray(Image.open(images / "train/good/0.png").convert("L")).copy()
    Image.fromarray(good).save(new / "good.png")
    good[5:10, 5:10] = 255
    Image.fromarray(good).save(new / "bad.png")
    score_folder(results / "pca", new, tmp_path / "out", Runtime())
    bad, fine = (heat_of(tmp_path / f"out/overlays/{name}.png.png") for name in ("bad", "good"))
    assert fine < bad / 2


def test_overlays_have_the_proportions_of_the_upright_image(results: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    turned = Image.Exif()
    turned[0x0112] = 6
    wide = Image.fromarray(np.full((40, 2000), 120, dtype=np.uint8))
    wide.save(new / "wide.png")
    wide.resize((300, 100)).save(new / "turned.jpg", exif=turned)
    wide.resize((1, 70)).save(new / "thin.png")
    score_folder(results / "pca", new, tmp_path / "out", Runtime())
    sizes = {path.name: Image.open(path).size for path in (tmp_path / "out/overlays").iterdir()}
    assert sizes == {
        "wide.png.png": (1024, 20),
        "turned.jpg.png": (100, 300),
        "thin.png.png": (4, 280),
    }


def test_names_that_are_too_long_or_taken_get_a_hash(
    results: Path, images: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    good = (images / "test/good/0.png").read_bytes()
    names = ["n" * 251 + ".png", "ü" * 124 + ".png", "a.png", "A.png", "b.png", "b.png.png/c.png"]
    for name in names:
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        (new / name).write_bytes(good)
    out = tmp_path / "out"
    assert score_folder(results / "pca", new, out, Runtime()) == []
    assert scored_images(out) == sorted(names)
    overlays = sorted(path.name for path in (out / "overlays").rglob("*.png") if path.is_file())
    assert len(overlays) == len(names) == len(set(map(str.casefold, overlays)))
    assert {"A.png.png", "c.png.png"} < set(overlays)
    kept = "n" * 80 + "-" + hashlib.sha256(names[0].encode()).hexdigest()[:16]
    assert f"{kept}.png" in overlays


def test_an_overlay_that_cannot_be_written_is_listed_and_the_rest_is_scored(
    results: Path, images: Path, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(images / "test/good/1.png", new / "b?.png")
    save = Image.Image.save

    def refusing(image: Image.Image, file: Any, *arguments: Any, **options: Any) -> None:
        if isinstance(file, Path) and "?" in file.name:
            raise OSError(errno.EINVAL, "Invalid argument")
        save(image, file, *arguments, **options)

    monkeypatch.setattr(Image.Image, "save", refusing)
    ((name, reason),) = score_folder(results / "pca", new, tmp_path / "out", Runtime())
    assert name == "b?.png" and "the overlay could not be written" in reason
    assert scored_images(tmp_path / "out") == ["a.png", "b?.png"]


DAMAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no method": lambda values: values.pop("method"),
    "method is text": lambda values: values.update(method="pca"),
    "unknown key": lambda values: values["method"].update(colour=1),
    "threshold is text": lambda values: values.update(threshold="high"),
    "threshold is a list": lambda values: values.update(threshold=[1, 2]),
    "threshold is not a number": lambda values: values.update(threshold=float("nan")),
    "no threshold": lambda values: values.pop("threshold"),
    "score is null": lambda values: values.update(score=None),
    "unknown score": lambda values: values.update(score="pcaa"),
    "no mc": lambda values: values.pop("mc"),
    "mc is a number": lambda values: values.update(mc=3),
    "calibrator lacks a key": lambda values: values["calibrator"].pop("scale"),
    "unknown calibrator": lambda values: values["calibrator"].update(kind="magic"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_threshold_that_was_damaged_by_hand_is_named(
    damage: str, results: Path, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shutil.copytree(results / "pca", tmp_path / "pca")
    values = json.loads((model / "threshold.json").read_text())
    DAMAGES[damage](values)
    (model / "threshold.json").write_text(json.dumps(values))
    assert main(["score", str(model), str(new), "--out", str(tmp_path / "out")]) == 1
    assert "threshold.json: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("size", [0, "64", None])
def test_a_report_without_the_size_of_the_images_is_named(
    size: object, results: Path, new: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(results / "pca", tmp_path / "pca")
    report = json.loads((model / "fit.json").read_text()) | {"image_size": size}
    (model / "fit.json").write_text(json.dumps(report))
    with pytest.raises(DualadError, match=r"fit\.json: cannot be read"):
        score_folder(model, new, tmp_path / "out", Runtime())


def test_overlays_without_predictions_name_the_way_out(
    results: Path, new: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(results / "pca", tmp_path / "pca")
    (model / "predictions.h5").unlink()
    with pytest.raises(DualadError, match=r"no predictions\.h5, .* or use --no-overlays"):
        score_folder(model, new, tmp_path / "out", Runtime())
    assert score_folder(model, new, tmp_path / "out", Runtime(), overlays=False) == []


def test_the_gallery_shows_the_images_and_is_removed_by_the_next_run(
    results: Path, images: Path, tmp_path: Path
) -> None:
    out, new = tmp_path / "out", tmp_path / "new"
    shutil.copytree(images, new)
    score_folder(results / "pca", new, out, Runtime())
    scores = pd.read_csv(out / "scores.csv")
    page = (out / "gallery.html").read_text(encoding="utf-8")
    assert page.count('<li id="image-') == len(scores)
    assert all(html.escape(name) in page for name in scores["image"])
    assert f"{(scores['decision'] == 1).sum()} of them called anomalous" in page
    assert "anomaly map" in page
    shutil.rmtree(new)
    new.mkdir()
    with pytest.raises(DualadError, match="none of 0 files"):
        score_folder(results / "pca", new, out, Runtime())
    assert not (out / "gallery.html").exists()
