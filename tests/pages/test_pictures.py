"""Small pictures: their size, their format, and what is transparent."""

import base64
import io

import numpy as np
from PIL import Image

from dualad.pages.pictures import SIDE, picture


def decoded(uri: str) -> Image.Image:
    """The picture in a data URI."""
    return Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2])))


def test_large_images_are_reduced_and_small_ones_stay() -> None:
    assert decoded(picture(np.zeros((300, 150))).image).size == (SIDE // 2, SIDE)
    assert decoded(picture(np.zeros((16, 24, 3))).image).size == (24, 16)


def test_colours_stay() -> None:
    image = np.zeros((16, 16, 3))
    image[..., 0] = 0.8
    red, green, blue = decoded(picture(image).image).convert("RGB").getpixel((8, 8))
    assert abs(red - 204) < 12 and max(green, blue) < 12


def test_heat_is_at_the_size_of_the_picture_and_glows_where_it_is_hot() -> None:
    heat = np.zeros((8, 8))
    heat[:4] = 1
    shown = np.asarray(decoded(picture(np.full((32, 32), 0.2), heat).heat).convert("L"))
    assert shown.shape == (32, 32)
    assert shown[4:10].min() > 180 and shown[24:].max() < 90


def test_the_outline_surrounds_the_defect_and_covers_nothing_of_it() -> None:
    mask = np.zeros((32, 32), dtype=bool)
    mask[8:24, 8:24] = True
    drawn = np.asarray(decoded(picture(np.zeros((32, 32)), mask=mask).outline).convert("RGBA"))
    assert drawn.shape == (128, 128, 4)
    inside = drawn[8 * 4 : 24 * 4, 8 * 4 : 24 * 4, 3]
    assert inside.max() == 0 and drawn[0, 0, 3] == 0
    assert tuple(drawn[8 * 4 - 1, 64]) == (0, 255, 255, 255)


def test_there_is_nothing_where_there_is_nothing_to_show() -> None:
    made = picture(np.zeros((16, 16)), mask=np.zeros((16, 16), dtype=bool))
    assert (made.heat, made.outline) == ("", "")
    assert made.size == len(made.image)


def test_equal_images_give_equal_bytes() -> None:
    image = np.random.default_rng(0).uniform(size=(40, 40, 3))
    assert picture(image, image[..., 0]) == picture(image, image[..., 0])
