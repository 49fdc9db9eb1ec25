"""Galleries from arrays: which images are shown, what is escaped, and how large a page gets."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from page_content import Structure, values_in

from dualad.design.schema import complete_config
from dualad.design.targets import Design
from dualad.pages.gallery import Gallery, shown_images, threshold_entry, write_gallery
from dualad.pages.pictures import picture

NOISE = np.random.default_rng(0)
ODD_NAMES = [
    "a<b>&\"c'.png",
    "</script><script>alert(1)</script>.png",
    "größe 寸.png",
    "broken \udcff.png",
]


def gallery(rows: pd.DataFrame, *, heat: bool = True, **values) -> Gallery:
    shown = shown_images(
        rows["score"].to_numpy(), 0.5, rows["label"].to_numpy() if "label" in rows else None
    )
    image = NOISE.uniform(size=(16, 16))
    made = picture(image, image if heat else None)
    settings = {"title": "dual on parts", "threshold": 0.5, "rule": "youden"}
    return Gallery(rows=rows, pictures=dict.fromkeys(map(int, shown), made), **settings | values)


def written(path: Path, shown: Gallery) -> str:
    write_gallery(path / "gallery.html", shown)
    return (path / "gallery.html").read_text(encoding="utf-8")


def labelled(n: int) -> pd.DataFrame:
    label = np.arange(n) % 2
    return pd.DataFrame(
        {
            "image": [f"test/{i:05d}.png" for i in range(n)],
            "score": NOISE.normal(size=n) / 4 + 0.5 * label,
            "label": label,
            "defect": np.where(label == 1, "crack", "good"),
            "p_value": NOISE.uniform(size=n),
        }
    )


def test_all_images_are_shown_if_they_are_few() -> None:
    scores = NOISE.normal(size=30)
    shown = shown_images(scores, 0.0, most=30)
    assert sorted(shown) == list(range(30)) and np.all(np.diff(scores[shown]) <= 0)


def test_of_many_images_the_worst_mistakes_are_shown_and_the_rest_at_equal_distances() -> None:
    scores = np.arange(1000.0)
    labels = (scores >= 500).astype(int)
    labels[[10, 20, 30, 990]] = 1 - labels[[10, 20, 30, 990]]
    shown = shown_images(scores, 499.5, labels, most=50)
    assert len(shown) == 50 == len(set(shown.tolist()))
    assert {10, 20, 30, 990} <= set(shown.tolist())
    assert shown[0] == 999 and shown[-1] == 0
    assert np.diff(-scores[shown]).max() < 1000 / 40


def test_many_mistakes_leave_room_for_other_images() -> None:
    scores = np.arange(1000.0)
    shown = shown_images(scores, 499.5, labels=(scores < 500).astype(int), most=50)
    assert len(shown) == 50
    # The 25 furthest from the threshold are at both ends.
    assert {0, 11, 999, 988} <= set(shown.tolist()) and np.sum(
        abs(scores[shown] - 499.5) < 450
    ) > 15


def test_without_labels_the_images_next_to_the_threshold_are_shown() -> None:
    scores = np.arange(1000.0)
    shown = set(shown_images(scores, 700.5, most=20).tolist())
    assert set(range(696, 706)) <= shown and {0, 999} <= shown


def test_ten_thousand_images_make_a_page_below_five_megabytes(tmp_path: Path) -> None:
    rows = labelled(10_000)
    page = written(tmp_path, gallery(rows))
    assert len(page) < 5_000_000
    assert Structure(page).with_class("views") == 200 + 1
    assert "200 of 10000 images are shown" in page
    # Numbers are of all images.
    assert len(values_in(page)["scores"]) == 10_000


def test_names_are_left_out_of_a_page_of_very_many_images(tmp_path: Path) -> None:
    rows = labelled(30_000)
    page = written(tmp_path, gallery(rows))
    assert values_in(page)["names"] is None and len(page) < 5_000_000


def test_scores_are_in_the_page_to_the_last_bit(tmp_path: Path) -> None:
    rows = labelled(40)
    values = values_in(written(tmp_path, gallery(rows, threshold=0.1 + 0.2)))
    assert values["scores"] == rows["score"].tolist() and values["threshold"] == 0.1 + 0.2
    assert values["labels"] == rows["label"].tolist()


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_text_and_nothing_else(tmp_path: Path, name: str) -> None:
    rows = labelled(4).assign(image=name, defect=["good", name, "good", name])
    page = written(tmp_path, gallery(rows, title=name, facts=[name], notes=[name]))
    tags = [tag for tag, _ in Structure(page).tags]
    assert tags.count("script") == 2 and "b" not in tags
    assert values_in(page)["names"] == [name] * 4


def test_images_without_a_truth_have_no_metrics(tmp_path: Path) -> None:
    rows = labelled(12)[["image", "score"]]
    page = written(tmp_path, gallery(rows, heat=False))
    assert values_in(page)["labels"] is None
    shown = page.partition('<script id="data"')[0].partition("<body>")[2]
    for text in ("Precision", "Defect", "<i>p</i>", "Heat has one scale", "Use this threshold"):
        assert text not in shown
    assert 'value="flagged"' in page


def test_a_page_asks_for_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = written(tmp_path, gallery(labelled(6), home="../../index.html"))
    linked = [
        attributes[key]
        for _, attributes in Structure(page).tags
        for key in ("src", "href")
        if attributes.get(key)
    ]
    assert all(re.match(r"data:|#image|#images|\.\./\.\./index\.html", link) for link in linked)
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttp", page)


def test_the_lines_for_the_configuration_are_a_method_that_trains_nothing() -> None:
    config = {
        "datasets": {
            "parts": {"reader": "digits", "normal": [1]},
            "other": {"reader": "digits", "normal": [2]},
        },
        "methods": {
            "dual": {
                "family": "dual_autoencoder",
                "score": "auto",
                "table": "ablation",
                "repeats": 2,
            },
            "padim": {"family": "padim", "threshold": {"rule": "youden"}, "datasets": ["parts"]},
        },
    }
    for name in ("dual", "padim"):
        entry = threshold_entry(name, config["methods"][name], "parts")
        lines = yaml.safe_load(yaml.safe_dump(entry).replace("VALUE", "0.25"))
        more = {**config, "methods": {**config["methods"], **lines}}
        design = Design.from_config(complete_config(more))
        (new,) = lines
        assert design.methods[new].params.threshold.value == 0.25
        assert design.methods[new].datasets == ("parts",)
        for stage in design.stage_files(new):
            assert design.owner(new, stage) == name
