"""Image files of every kind with what they show, known from the arrays that were written."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tifffile
from PIL import Image, ImageCms
from scipy import ndimage

STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: np.rot90(a, -1),
}
"""How an upright array is stored, per EXIF orientation: the inverse of what a viewer does."""


@dataclass(frozen=True)
class Picture:
    """A file, and the RGB values that a viewer shows, (H, W, 3) in [0, 255]."""

    content: bytes
    shown: np.ndarray
    tolerance: float


def smooth(rng: np.random.Generator, shape: tuple[int, ...], top: float) -> np.ndarray:
    """A blurred pattern in [0, top] that lossy compression keeps."""
    noise = ndimage.gaussian_filter(rng.random(shape), (3, 3, 0)[: len(shape)])
    low, width = noise.min(), np.ptp(noise)
    return np.round((noise - low) / (width or 1) * top)


def luma(rgb: np.ndarray) -> np.ndarray:
    """ITU-R BT.601."""
    return rgb @ np.array([0.299, 0.587, 0.114])


def as_rgb(gray: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(gray, dtype=float)[..., None], 3, axis=-1)


def on_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    opacity = alpha[..., None] / 255
    return rgb * opacity + 255 * (1 - opacity)


def saved(image: Image.Image, container: str, orientation: int = 1, **options: object) -> bytes:
    """Write with Pillow, with the EXIF orientation if the container can carry one."""
    if orientation != 1:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    file = io.BytesIO()
    image.save(file, container, **options)
    return file.getvalue()


def png16(values: np.ndarray, color_type: int, orientation: int = 1) -> bytes:
    """A PNG of 16 bits per channel, which Pillow cannot write but for grey."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width = values.shape[:2]
    rows = values.astype(">u2").reshape(height, -1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)),
            chunk(b"eXIf", exif.tobytes()[6:]) if orientation != 1 else b"",
            chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))),
            chunk(b"IEND", b""),
        ]
    )


def tiff(array: np.ndarray, orientation: int = 1, **options: object) -> bytes:
    """Write with tifffile."""
    file = io.BytesIO()
    tags = [*options.pop("extratags", ())]
    if orientation != 1:
        tags.append((274, "H", 1, orientation, True))
    tifffile.imwrite(file, array, extratags=tags, metadata=None, **options)
    return file.getvalue()


def packed12(array: np.ndarray) -> bytes:
    """A TIFF whose pixels take 12 bits each; the width must be even."""
    first, second = array[:, ::2].astype(int), array[:, 1::2].astype(int)
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1)
    data = packed.astype(np.uint8).tobytes()
    height, width = array.shape
    entries = [
        (256, 3, width),
        (257, 3, height),
        (258, 3, 12),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 3, height),
        (279, 4, len(data)),
    ]
    head = b"II*\0" + struct.pack("<I", 8 + len(data)) + data
    ifd = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return head + struct.pack("<H", len(entries)) + ifd + struct.pack("<I", 0)


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A minimal ICC profile of version 2."""
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": _xyz(0.9642, 1.0, 0.8249),
        **tags,
    }
    table, data = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value
    size = start + len(data)
    header = struct.pack(">I4s4s4s4s4s", size, bytes(4), b"\x02\x10\0\0", b"mntr", space, b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    header += bytes(128 - len(header))
    return header + struct.pack(">I", len(tags)) + table + data


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">iii", *(round(65536 * value) for value in values))


_LINEAR = b"curv" + bytes(4) + struct.pack(">I", 0)
_RED, _GREEN, _BLUE = (
    _xyz(0.4360, 0.2225, 0.0139),
    _xyz(0.3851, 0.7169, 0.0971),
    _xyz(0.1431, 0.0606, 0.7139),
)
LINEAR_GRAY = _profile(b"GRAY", {b"kTRC": _LINEAR})
_CURVES = {b"rTRC": _LINEAR, b"gTRC": _LINEAR, b"bTRC": _LINEAR}
LINEAR_RGB = _profile(b"RGB ", {b"rXYZ": _RED, b"gXYZ": _GREEN, b"bXYZ": _BLUE, **_CURVES})
SWAPPED_RGB = _profile(b"RGB ", {b"rXYZ": _GREEN, b"gXYZ": _RED, b"bXYZ": _BLUE, **_CURVES})
"""Linear light; in the second, the first channel is green and the second red."""
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def encoded(linear: np.ndarray) -> np.ndarray:
    """From linear light in [0, 255] to sRGB in [0, 255], IEC 61966-2-1."""
    share = np.asarray(linear, dtype=float) / 255
    curve = np.where(share <= 0.0031308, 12.92 * share, 1.055 * share ** (1 / 2.4) - 0.055)
    return 255 * curve


Maker = Callable[[np.random.Generator, int, int], Picture]
"""Makes a picture from random numbers, its side in pixels, and an EXIF orientation."""

LOSSLESS = {
    "PNG": {},
    "TIFF": {},
    "TIFF lzw": {"compression": "tiff_lzw"},
    "TIFF deflate": {"compression": "tiff_adobe_deflate"},
    "WEBP": {"lossless": True, "exact": True},
    "JPEG2000": {},
    "BMP": {},
    "DIB": {},
    "TGA": {},
    "PCX": {},
    "PPM": {},
    "SGI": {},
    "GIF": {},
    "QOI": {},
}
UPRIGHT_ONLY = set(LOSSLESS) - {"PNG", "TIFF", "TIFF lzw", "TIFF deflate", "WEBP"}
"""Containers without EXIF orientation."""

MODES = {
    "1": {"PNG", "TIFF", "TIFF lzw", "TIFF deflate", "BMP", "DIB", "PCX", "PPM", "GIF"},
    "L": set(LOSSLESS) - {"WEBP", "QOI"},
    "LA": {"PNG", "TIFF", "TIFF lzw", "TIFF deflate", "TGA", "JPEG2000"},
    "P": {"PNG", "TIFF", "TIFF lzw", "TIFF deflate", "BMP", "TGA", "PCX", "GIF"},
    "RGB": set(LOSSLESS) - {"GIF"},
    "RGBA": set(LOSSLESS) - {"PCX", "PPM", "DIB", "GIF"},
    "CMYK": {"TIFF", "TIFF lzw", "TIFF deflate"},
    "YCbCr": {"TIFF"},
    "LAB": {"TIFF", "TIFF lzw"},
}


def _lossless(container: str, mode: str) -> Maker:
    def make(rng: np.random.Generator, side: int, orientation: int) -> Picture:
        orientation = 1 if container in UPRIGHT_ONLY else orientation
        rgb = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        alpha = rng.integers(0, 256, (side, side), dtype=np.uint8)
        gray = rgb[..., 0]
        tolerance = 1.0
        if mode == "1":
            image, shown = Image.fromarray(gray > 99), as_rgb(255 * (gray > 99))
        elif mode == "L":
            image, shown = Image.fromarray(gray), as_rgb(gray)
        elif mode == "LA":
            image = Image.fromarray(np.stack([gray, alpha], axis=-1))
            shown = on_white(as_rgb(gray), alpha)
        elif mode == "P":
            palette = rng.integers(0, 256, (256, 3), dtype=np.uint8)
            image, shown = Image.fromarray(gray), palette[gray].astype(float)
            image.putpalette(palette.tobytes())
        elif mode == "RGBA":
            image = Image.fromarray(np.concatenate([rgb, alpha[..., None]], axis=-1))
            # In this header of a BMP, the fourth byte has no meaning.
            shown = rgb.astype(float) if container == "BMP" else on_white(rgb, alpha)
        elif mode == "CMYK":
            ink = rng.integers(0, 256, (side, side, 4), dtype=np.uint8)
            image = Image.fromarray(ink, "CMYK")
            shown = (255.0 - ink[..., :3]) * (255.0 - ink[..., 3:]) / 255
            tolerance = 2.0
        elif mode == "YCbCr":
            image, shown, tolerance = Image.fromarray(rgb).convert(mode), rgb.astype(float), 3.0
        elif mode == "LAB":
            lightness = np.zeros((side, side, 3), dtype=np.uint8)
            lightness[..., 0] = gray
            image = Image.fromarray(lightness, "LAB")
            shown, tolerance = as_rgb(_from_lightness(gray)), 3.0
        else:
            image, shown = Image.fromarray(rgb), rgb.astype(float)
        turned = _turned(image, orientation)
        content = saved(turned, container.split()[0], orientation, **LOSSLESS[container])
        return Picture(content, shown, tolerance)

    return make


def _from_lightness(lightness: np.ndarray) -> np.ndarray:
    """sRGB grey of CIE L*, given as 0 to 255."""
    star = lightness / 255 * 100
    share = np.where(star > 8, ((star + 16) / 116) ** 3, star / 903.3)
    return encoded(255 * share)


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    """The stored form of an upright image."""
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    return image if method is None else image.transpose(method)


def _lossy(container: str, mode: str) -> Maker:
    def make(rng: np.random.Generator, side: int, orientation: int) -> Picture:
        side = max(side, 8)
        # One hue throughout, as colours are stored at half the resolution.
        gray = smooth(rng, (side, side), 200).astype(np.uint8)
        rgb = np.stack([gray, gray + 20, gray + 40], axis=-1)
        shown = as_rgb(rgb[..., 0]) if mode == "L" else rgb.astype(float)
        image = Image.fromarray(rgb[..., 0] if mode == "L" else rgb)
        if mode == "CMYK":
            image = Image.fromarray(
                np.concatenate([255 - rgb, np.zeros((side, side, 1), np.uint8)], axis=-1), "CMYK"
            )
        options = {"quality": 95} | ({"subsampling": 0} if container == "JPEG" else {})
        content = saved(_turned(image, orientation), container, orientation, **options)
        return Picture(content, shown, 14.0)

    return make


def _profiled(container: str, profile: str) -> Maker:
    def make(rng: np.random.Generator, side: int, orientation: int) -> Picture:
        # The darkest tenth of linear light is steep, and rounding counts twice.
        rgb = smooth(rng, (side, side, 3), 200) + 40
        gray = profile == "gray"
        image = Image.fromarray((rgb[..., 0] if gray else rgb).astype(np.uint8))
        shown = {
            "gray": lambda: as_rgb(encoded(rgb[..., 0])),
            "linear": lambda: encoded(rgb),
            "swapped": lambda: encoded(rgb[..., [1, 0, 2]]),
            "srgb": lambda: rgb,
            "other space": lambda: rgb,
            "damaged": lambda: rgb,
        }[profile]()
        content = saved(
            _turned(image, orientation),
            container,
            orientation,
            icc_profile={
                "gray": LINEAR_GRAY,
                "linear": LINEAR_RGB,
                "swapped": SWAPPED_RGB,
                "srgb": SRGB,
                "other space": LINEAR_GRAY,
                "damaged": LINEAR_RGB[:200],
            }[profile],
            **({"quality": 98, "subsampling": 0} if container == "JPEG" else {}),
        )
        return Picture(content, shown, 12.0 if container == "JPEG" else 3.0)

    return make


def _sixteen(kind: str) -> Maker:
    """All 16 bits in use, so that the file's range is the right one."""

    def make(rng: np.random.Generator, side: int, orientation: int) -> Picture:
        values = rng.integers(0, 65536, (side, side, 4), dtype=np.uint16)
        gray, rgb = values[..., 0], values[..., :3]
        alpha = values[..., 3] / 257
        stored = STORED[orientation]
        plain = {
            "png gray": lambda: (
                saved(Image.fromarray(np.ascontiguousarray(stored(gray))), "PNG", orientation),
                as_rgb(gray / 257),
            ),
            "png gray alpha": lambda: (
                png16(stored(values[..., [0, 3]]), 4, orientation),
                on_white(as_rgb(gray / 257), alpha),
            ),
            "png rgb": lambda: (png16(stored(rgb), 2, orientation), rgb / 257),
            "png rgba": lambda: (png16(stored(values), 6, orientation), on_white(rgb / 257, alpha)),
            "tiff gray": lambda: (
                tiff(stored(gray), orientation, photometric="minisblack"),
                as_rgb(gray / 257),
            ),
            "tiff white": lambda: (
                tiff(stored(gray), orientation, photometric="miniswhite"),
                as_rgb(255 - gray / 257),
            ),
            "tiff big endian": lambda: (
                tiff(stored(gray), orientation, photometric="minisblack", byteorder=">"),
                as_rgb(gray / 257),
            ),
            "tiff rgb": lambda: (tiff(stored(rgb), orientation, photometric="rgb"), rgb / 257),
            "tiff rgb big endian": lambda: (
                tiff(stored(rgb), orientation, photometric="rgb", byteorder=">"),
                rgb / 257,
            ),
            "tiff rgb deflate": lambda: (
                tiff(stored(rgb), orientation, photometric="rgb", compression="zlib"),
                rgb / 257,
            ),
            "tiff rgba": lambda: (
                tiff(stored(values), orientation, photometric="rgb", extrasamples=["unassalpha"]),
                on_white(rgb / 257, alpha),
            ),
            "bigtiff": lambda: (
                tiff(stored(gray), orientation, photometric="minisblack", bigtiff=True),
                as_rgb(gray / 257),
            ),
            "pgm": lambda: (
                b"P5 %d %d 65535\n" % (side, side) + gray.astype(">u2").tobytes(),
                as_rgb(gray / 257),
            ),
            "pgm of 12 bits": lambda: (
                b"P5 %d %d 4095\n" % (side, side) + (gray >> 4).astype(">u2").tobytes(),
                as_rgb((gray >> 4) / 4095 * 255),
            ),
            "ppm": lambda: (
                b"P6 %d %d 65535\n" % (side, side) + rgb.astype(">u2").tobytes(),
                rgb / 257,
            ),
            "jpeg 2000": lambda: (saved(Image.fromarray(gray), "JPEG2000"), as_rgb(gray / 257)),
        }
        # Pillow cuts colours to 8 bits, and does not round.
        return Picture(
            *plain[kind](), 2.0 if "rgb" in kind or kind in ("png gray alpha", "ppm") else 0.51
        )

    return make


def _packed(rng: np.random.Generator, side: int, orientation: int) -> Picture:
    side += side % 2
    values = rng.integers(0, 4096, (side, side), dtype=np.uint16)
    return Picture(packed12(values), as_rgb(values / 4095 * 255), 0.51)


def _tiff8(kind: str) -> Maker:
    def make(rng: np.random.Generator, side: int, orientation: int) -> Picture:
        values = rng.integers(0, 256, (side, side, 4), dtype=np.uint8)
        gray, rgb, alpha = values[..., 0], values[..., :3], values[..., 3]
        stored = STORED[orientation]
        # Rounding of colours that are multiplied by a low opacity is lost on white again.
        premultiplied = np.round(values * np.append(np.ones(3), 255) * (alpha[..., None] / 255))
        premultiplied[..., 3] = alpha
        kinds = {
            "white": lambda: (
                tiff(stored(gray), orientation, photometric="miniswhite"),
                as_rgb(255 - gray),
            ),
            "bilevel": lambda: (
                tiff(stored(gray > 99), orientation, photometric="minisblack"),
                as_rgb(255 * (gray > 99)),
            ),
            "bilevel white": lambda: (
                tiff(stored(gray > 99), orientation, photometric="miniswhite"),
                as_rgb(255 * (gray <= 99)),
            ),
            "planes": lambda: (
                tiff(
                    np.moveaxis(stored(rgb), -1, 0),
                    orientation,
                    photometric="rgb",
                    planarconfig="separate",
                ),
                rgb.astype(float),
            ),
            "tiles": lambda: (
                tiff(stored(rgb), orientation, photometric="rgb", tile=(16, 16)),
                rgb.astype(float),
            ),
            "alpha": lambda: (
                tiff(stored(values), orientation, photometric="rgb", extrasamples=["unassalpha"]),
                on_white(rgb, alpha),
            ),
            "associated alpha": lambda: (
                tiff(
                    stored(premultiplied.astype(np.uint8)),
                    orientation,
                    photometric="rgb",
                    extrasamples=["assocalpha"],
                ),
                on_white(rgb, alpha),
            ),
            "unspecified": lambda: (
                tiff(stored(values), orientation, photometric="rgb", extrasamples=["unspecified"]),
                rgb.astype(float),
            ),
            "ink": lambda: (
                tiff(stored(values), orientation, photometric="separated"),
                (255.0 - rgb) * (255.0 - values[..., 3:]) / 255,
            ),
            "ink of 16 bits": lambda: (
                tiff(stored(values.astype(np.uint16) * 257), orientation, photometric="separated"),
                (255.0 - rgb) * (255.0 - values[..., 3:]) / 255,
            ),
        }
        return Picture(*kinds[kind](), 2.0)

    return make


SIXTEEN = (
    *("png gray", "png gray alpha", "png rgb", "png rgba", "tiff gray", "tiff white"),
    *("tiff big endian", "tiff rgb", "tiff rgb big endian", "tiff rgb deflate"),
    *("tiff rgba", "bigtiff", "pgm", "pgm of 12 bits", "ppm", "jpeg 2000"),
)
TIFF8 = (
    *("white", "bilevel", "bilevel white", "planes", "tiles", "alpha", "associated alpha"),
    *("unspecified", "ink", "ink of 16 bits"),
)
KINDS: dict[str, Maker] = {
    **{
        f"{container}, {mode}": _lossless(container, mode)
        for mode, containers in MODES.items()
        for container in sorted(containers)
    },
    **{f"JPEG, {mode}": _lossy("JPEG", mode) for mode in ("L", "RGB", "CMYK")},
    **{f"{container} lossy": _lossy(container, "RGB") for container in ("WEBP", "AVIF")},
    **{
        f"{container}, profile {profile}": _profiled(container, profile)
        for container in ("PNG", "TIFF", "JPEG")
        for profile in ("gray", "linear", "swapped", "srgb", "other space", "damaged")
    },
    **{f"16 bits, {kind}": _sixteen(kind) for kind in SIXTEEN},
    **{f"tifffile, {kind}": _tiff8(kind) for kind in TIFF8},
    "12 bits, packed": _packed,
}
"""Kinds of files that are read, by name."""
