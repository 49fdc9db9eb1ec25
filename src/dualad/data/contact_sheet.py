"""A picture with the first images of every class, as they are read."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from dualad.data.formats import UnreadableImageError
from dualad.data.images import to_unit_range
from dualad.data.inspection import Examined
from dualad.files import replacing

_SIDE = 112
_GAP = 6
_PER_ROW = 8
_CAPTION = 20
_FONT_SIZE = 13
_MOST_ROWS = 40
_MASK_COLOR = (220, 30, 30)


def write_contact_sheet(rows: Sequence[tuple[str, Sequence[Examined]]], path: Path) -> None:
    """Write a PNG with a row of up to eight images, evenly spaced, per class.

    The images are as the readers give them, squeezed into squares, with the outlines of their
    masks in red. Images that cannot be read are left out.

    Parameters
    ----------
    rows
        Caption and images of each class; of more than 40 classes, the first 40 are drawn.
    path
        The file to write.

    Raises
    ------
    DualadError
        If the file cannot be written.
    """
    drawn = rows[:_MOST_ROWS]
    height = _CAPTION + _SIDE + _GAP
    sheet = Image.new(
        "RGB", (_PER_ROW * (_SIDE + _GAP) + _GAP, len(drawn) * height + _GAP), "white"
    )
    draw = ImageDraw.Draw(sheet)
    # Matplotlib ships a font with more scripts than Pillow's own.
    font = ImageFont.truetype(
        Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), _FONT_SIZE
    )
    for row, (caption, images) in enumerate(drawn):
        top = row * height + _GAP
        draw.text((_GAP, top), caption, fill="black", font=font)
        readable = [image for image in images if not image.problem]
        chosen = np.linspace(0, len(readable) - 1, min(_PER_ROW, len(readable))).round()
        for column, index in enumerate(chosen.astype(int)):
            # Of many images, not all were decoded before.
            with suppress(UnreadableImageError):
                thumbnail = _thumbnail(readable[index])
                sheet.paste(thumbnail, (_GAP + column * (_SIDE + _GAP), top + _CAPTION))
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def _thumbnail(image: Examined) -> Image.Image:
    record = image.record
    pixels = to_unit_range(record.image.decode(_SIDE, color=True).pixels)
    shown = np.round(pixels * 255).astype(np.uint8)
    if record.mask is not None:
        mask, _ = record.mask.decode_mask(_SIDE)
        outline = mask.astype(bool) ^ ndimage.binary_erosion(mask, border_value=0)
        shown = np.where(outline[..., None], np.array(_MASK_COLOR, dtype=np.uint8), shown)
    return Image.fromarray(shown)
