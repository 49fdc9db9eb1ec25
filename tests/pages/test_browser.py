"""The pages in Chromium, opened as files."""

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dualad.data.dataset import Dataset
from dualad.design.parameters import DualAutoencoderParams, ThresholdParams
from dualad.evaluation.evaluator import evaluate
from dualad.pages.gallery import Gallery, shown_images, threshold_entry, write_gallery
from dualad.pages.method_gallery import MethodFiles, read_method, write_method_gallery
from dualad.pages.pictures import picture

selenium = pytest.importorskip("selenium", reason="selenium is not installed")
from selenium.webdriver import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402


@pytest.fixture
def gallery(browser, tree: Path):
    """The gallery of `dual` on `brick`, open; afterwards nothing has been complained of."""
    folder = tree / "brick/dual"
    with Dataset(tree / "brick/dataset.h5") as dataset:
        entry = threshold_entry("dual", {"family": "dual_autoencoder"}, "brick")
        write_method_gallery(MethodFiles(folder, dataset.path, entry), dataset)
    browser.get("about:blank")
    browser.get((folder / "gallery.html").as_uri())
    yield browser
    assert browser.get_log("browser") == []


def number(page, count: str) -> float:
    return float(
        page.find_element(By.CSS_SELECTOR, f"[data-count={count}]").get_attribute("data-value")
    )


def threshold(page) -> float:
    return float(page.find_element(By.ID, "handle").get_attribute("aria-valuenow"))


def enter(page, text: str) -> None:
    """Type into the field of the threshold, over what is there."""
    page.find_element(By.ID, "value").send_keys(Keys.CONTROL, "a", Keys.NULL, text, Keys.ENTER)


def visible(page) -> list[int]:
    cards = page.find_elements(By.CSS_SELECTOR, ".cards > li:not([hidden])")
    return [int(card.get_attribute("data-position")) for card in cards]


def test_it_opens_with_the_numbers_of_the_evaluator(gallery, tree: Path) -> None:
    metrics = json.loads((tree / "brick/dual/metrics.json").read_text())
    assert [number(gallery, name) for name in ("tpr", "fpr", "precision")] == [
        metrics[name] for name in ("tpr", "fpr", "precision")
    ]
    assert number(gallery, "found") == metrics["counts"]["tp"]
    assert number(gallery, "alarms") == metrics["counts"]["fp"]


def test_a_dragged_threshold_gives_the_numbers_of_the_evaluator(
    gallery, tree: Path, tmp_path: Path
) -> None:
    svg = gallery.find_element(By.ID, "histogram")
    gallery.execute_script("arguments[0].scrollIntoView({block: 'center'})", svg)
    width = svg.size["width"]
    seen = set()
    for share in np.linspace(-0.47, 0.47, 12):
        handle = gallery.find_element(By.CSS_SELECTOR, "#handle circle")
        target = svg.rect["x"] + width * (0.5 + share)
        start = handle.rect["x"] + handle.rect["width"] / 2
        ActionChains(gallery, duration=20).click_and_hold(handle).move_by_offset(
            round(target - start), 0
        ).release().perform()
        value = threshold(gallery)
        seen.add(value)
        evaluate(
            tree / "brick/dataset.h5",
            tree / "brick/split.json",
            tree / "brick/dual/predictions.h5",
            DualAutoencoderParams(
                score="blurred_z", threshold=ThresholdParams(rule="fixed", value=value)
            ),
            "dual",
            tmp_path,
            bootstrap=0,
        )
        metrics = json.loads((tmp_path / "metrics.json").read_text())
        assert number(gallery, "tpr") == metrics["tpr"]
        assert number(gallery, "fpr") == metrics["fpr"]
        assert number(gallery, "found") == metrics["counts"]["tp"]
        assert number(gallery, "alarms") == metrics["counts"]["fp"]
        wrong = metrics["counts"]["fp"] + metrics["counts"]["fn"]
        assert number(gallery, "wrong") == wrong
        if metrics["precision"] is None:
            precision = gallery.find_element(By.CSS_SELECTOR, "[data-count=precision]")
            assert precision.text == "\N{EN DASH}"
        else:
            assert number(gallery, "precision") == metrics["precision"]
    assert len(seen) == 12


def test_an_arrow_key_changes_the_decision_on_one_image(gallery, tree: Path) -> None:
    scores = read_method(tree / "brick/dual").test["score"].to_numpy()
    handle = gallery.find_element(By.ID, "handle")
    before = np.sum(scores > threshold(gallery))
    for key, flagged in ((Keys.ARROW_RIGHT, before - 1), (Keys.ARROW_LEFT, before)):
        handle.send_keys(key)
        assert np.sum(scores > threshold(gallery)) == flagged
    handle.send_keys(Keys.HOME)
    assert np.all(scores > threshold(gallery))
    handle.send_keys(Keys.END)
    assert not np.any(scores > threshold(gallery))
    gallery.find_element(By.ID, "reset").click()
    assert threshold(gallery) == read_method(tree / "brick/dual").cutoff


def test_a_screen_reader_is_told_what_a_threshold_does(gallery, tree: Path) -> None:
    test = read_method(tree / "brick/dual").test
    handle = gallery.find_element(By.ID, "handle")
    said = gallery.find_element(By.ID, "said")

    def outcome() -> str:
        flagged = test["score"] > threshold(gallery)
        counts = [
            f"{flagged[test['label'] == c].sum()} of {(test['label'] == c).sum()}" for c in (1, 0)
        ]
        return f"{counts[0]} anomalies found, {counts[1]} false alarms"

    assert said.get_attribute("textContent") == ""
    handle.send_keys(Keys.ARROW_LEFT)
    assert handle.get_attribute("aria-valuetext").endswith(f": {outcome()}")
    assert said.get_attribute("textContent") == ""
    enter(gallery, "0.335")
    assert said.get_attribute("textContent") == outcome()
    handle.send_keys(Keys.ARROW_LEFT)
    assert said.get_attribute("textContent") == ""


def test_wrong_images_are_listed_the_furthest_from_the_threshold_first(gallery, tree: Path) -> None:
    test = read_method(tree / "brick/dual").test
    enter(gallery, "0.335")
    assert threshold(gallery) == 0.335
    gallery.find_element(By.CSS_SELECTOR, "#wrong summary").click()
    missed = test[(test["label"] == 1) & (test["score"] <= 0.335)].sort_values("score")
    listed = [link.text for link in gallery.find_elements(By.CSS_SELECTOR, "#missed a")]
    assert listed == missed["image"].tolist() and listed


def test_what_is_no_number_changes_nothing(gallery) -> None:
    before = threshold(gallery)
    enter(gallery, "high")
    assert threshold(gallery) == before


def test_filters_show_what_they_say(gallery, tree: Path) -> None:
    test = read_method(tree / "brick/dual").test
    kinds = {
        "wrong": test["decision"] != test["label"],
        "alarm": (test["label"] == 0) & (test["decision"] == 1),
        "missed": (test["label"] == 1) & (test["decision"] == 0),
        "found": (test["label"] == 1) & (test["decision"] == 1),
        "passed": (test["label"] == 0) & (test["decision"] == 0),
        "all": test["label"] >= 0,
    }
    for kind, chosen in kinds.items():
        label = gallery.find_element(By.XPATH, f"//input[@value='{kind}']/..")
        gallery.execute_script("arguments[0].scrollIntoView({block: 'center'})", label)
        label.click()
        assert sorted(visible(gallery)) == np.flatnonzero(chosen).tolist()
    Select(gallery.find_element(By.ID, "defect")).select_by_visible_text("spot")
    assert sorted(visible(gallery)) == np.flatnonzero(test["defect"] == "spot").tolist()
    Select(gallery.find_element(By.ID, "order")).select_by_value("low")
    shown = test["score"].to_numpy()[visible(gallery)]
    assert np.all(np.diff(shown) >= 0) and len(shown)


def test_a_link_leads_to_an_image_and_arrow_keys_to_the_next(gallery, tree: Path) -> None:
    test = read_method(tree / "brick/dual").test
    order = visible(gallery)
    gallery.get(f"{(tree / 'brick/dual/gallery.html').as_uri()}#image-{order[2]}")
    viewer = gallery.find_element(By.ID, "viewer")
    title = gallery.find_element(By.ID, "viewer-name")
    assert viewer.is_displayed() and title.text == test["image"][order[2]]
    for position in order[3:5]:
        ActionChains(gallery).send_keys(Keys.ARROW_RIGHT).perform()
        assert title.text == test["image"][position]
        assert gallery.current_url.endswith(f"#image-{position}")
    gallery.find_element(By.CSS_SELECTOR, "[data-action=previous]").send_keys(Keys.ENTER)
    ActionChains(gallery).send_keys(Keys.ENTER).perform()
    assert title.text == test["image"][order[2]]
    said = gallery.find_element(By.ID, "viewer-said").get_attribute("textContent")
    assert said.startswith(f"{title.text}: ") and f"{test['score'][order[2]]:.4g}" in said
    viewer.send_keys(Keys.ESCAPE)
    soon = WebDriverWait(gallery, 10)
    soon.until(lambda page: not viewer.is_displayed() and "#" not in page.current_url)


def test_every_bar_says_how_many_images_it_has_between_which_scores(gallery, tree: Path) -> None:
    test = read_method(tree / "brick/dual").test
    bars = gallery.find_elements(By.CSS_SELECTOR, "#bars title")
    found = {"normal": 0, "anomalous": 0}
    for bar in bars:
        text = bar.get_attribute("textContent")
        count, what, low, high = re.fullmatch(r"(\d+) (\w+), score (\S+) to (\S+)", text).groups()
        found[what] += int(count)
        # The edges have three digits.
        inside = test["score"].between(0.99 * float(low), 1.01 * float(high))
        assert (inside & (test["label"] == (what == "anomalous"))).sum() >= int(count)
    assert list(found.values()) == [(test["label"] == label).sum() for label in (0, 1)]


def test_the_axis_has_round_values_that_do_not_overlap(gallery, tree: Path) -> None:
    texts = gallery.find_elements(By.CSS_SELECTOR, "#axis text")
    values = [float(text.text) for text in texts]
    scores = read_method(tree / "brick/dual").test["score"]
    assert len(values) >= 2 and values == sorted(values)
    assert scores.min() * 0.5 < values[0] and values[-1] < scores.max() * 2
    digits = {f"{value:e}".replace(".", "").split("e")[0].rstrip("0") for value in values}
    assert max(map(len, digits)) <= 2
    boxes = [text.rect for text in texts]
    assert all(left["x"] + left["width"] < right["x"] for left, right in pairwise(boxes))


def test_the_lines_for_the_configuration_have_the_threshold(gallery) -> None:
    handle = gallery.find_element(By.ID, "handle")
    handle.send_keys(Keys.ARROW_RIGHT)
    lines = gallery.find_element(By.ID, "configuration").get_attribute("textContent")
    assert f"value: {threshold(gallery)!r}}}" in lines and "datasets: [brick]" in lines


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen(gallery, width: int, scheme: str) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    gallery.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    gallery.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        assert gallery.execute_script("return document.documentElement.scrollWidth") <= width
        page, ink = (
            gallery.execute_script(f"return getComputedStyle(document.body).{name}")
            for name in ("backgroundColor", "color")
        )
        assert (page == "rgb(255, 255, 255)") == (scheme == "light") and page != ink
    finally:
        gallery.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_new_images_have_a_gallery_without_a_truth(browser, tmp_path: Path) -> None:
    scores = np.linspace(1e-7, 1e-5, 30)
    rows = pd.DataFrame({"image": [f"<{i}>.png" for i in range(30)], "score": scores})
    made = picture(np.zeros((16, 16)))
    shown = shown_images(scores, 4e-6)
    write_gallery(
        tmp_path / "gallery.html",
        Gallery("parts", rows, 4e-6, "youden", dict.fromkeys(map(int, shown), made)),
    )
    browser.get((tmp_path / "gallery.html").as_uri())
    assert number(browser, "flagged") == np.sum(scores > 4e-6)
    browser.find_element(By.XPATH, "//input[@value='flagged']/..").click()
    assert sorted(visible(browser)) == np.flatnonzero(scores > 4e-6).tolist()
    assert browser.get_log("browser") == []
