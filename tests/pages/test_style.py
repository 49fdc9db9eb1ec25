"""The colours of the pages by the rules of accessibility, in light and dark."""

import itertools
import re
from importlib import resources

import pytest

TEXT = ("ink", "muted", "accent", "wrong")
SHAPES = ("normal", "anomalous", "muted", "accent")
GROUNDS = ("page", "panel", "wrong-page")


def palettes() -> list[dict[str, str]]:
    """The colours by their names, light and dark."""
    css = (resources.files("dualad.pages") / "templates/style.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6});", block)) for block in blocks)
    return [light, light | dark]


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours (WCAG 2.2, definitions of contrast and luminance)."""
    darker, lighter = sorted(map(luminance, (first, second)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: str) -> float:
    values = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    # The lightest grey that the standard allows for text on white.
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark"])
def test_text_and_shapes_stand_out_from_what_they_lie_on(palette: dict[str, str]) -> None:
    pairs = [
        *((name, ground, 4.5) for name, ground in itertools.product(TEXT, GROUNDS)),
        *((name, ground, 3.0) for name, ground in itertools.product(SHAPES, GROUNDS)),
        # Buttons that are pressed.
        ("page", "ink", 4.5),
    ]
    low = {
        (name, ground): contrast(palette[name], palette[ground])
        for name, ground, least in pairs
        if contrast(palette[name], palette[ground]) < least
    }
    assert not low
