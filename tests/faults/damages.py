"""Ways to damage a file, each a function of its bytes and of random numbers."""

import re
from collections.abc import Callable, Mapping

import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes]

HEADERS = (
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"RIFF\0\0\0\0WEBP",
    b"PK\x03\x04",
    b"\x89HDF\r\n\x1a\n",
    b"\x93NUMPY\x01\0",
    b"\x80\x04",
    b"8BPS\0\1",
    b"%!PS-Adobe-3.0 EPSF-3.0\n",
    b"<svg onload='x'>",
)
"""The first bytes of files of many kinds."""

VALUES = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1", "0", "1e18", "12345678901234567890123"),
    *("null", "true", '"text"', '""', "[]", "{}", "[[]]", '["a", 1, null]', '{"a": {"b": []}}'),
    *('"../../../etc/passwd"', '"\\u0000"', '"\\ud800"', '"é\u202e"', "0.5", "[NaN]"),
)
"""JSON for any key but, most of the time, of another type or range than it has."""


def truncated(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(len(content))]


def emptied(content: bytes, rng: np.random.Generator) -> bytes:
    del content, rng
    return b""


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip one to sixteen bits."""
    values = bytearray(content)
    for position in rng.integers(len(values), size=rng.integers(1, 17)):
        values[position] ^= 1 << int(rng.integers(8))
    return bytes(values)


def header_flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """The same among the first bytes, where sizes and types stand."""
    return flipped(content[:96], rng) + content[96:]


def zeroed(content: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite a stretch with zeros, as a disk does after a power cut."""
    start, end = sorted(rng.integers(len(content) + 1, size=2))
    return content[:start] + bytes(int(end - start)) + content[end:]


def overwritten(content: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite up to 64 bytes with random ones."""
    start = int(rng.integers(len(content)))
    noise = rng.bytes(int(rng.integers(1, 65)))
    return content[:start] + noise + content[start + len(noise) :]


def enlarged(content: bytes, rng: np.random.Generator) -> bytes:
    """Put a giant number where the header may have a size."""
    values = bytearray(content)
    giant = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\1\0")
    position = int(rng.integers(min(len(values), 80)))
    values[position : position + 4] = giant[rng.integers(len(giant))]
    return bytes(values)


def beheaded(content: bytes, rng: np.random.Generator) -> bytes:
    """Begin as another kind of file does."""
    header = HEADERS[rng.integers(len(HEADERS))]
    return header + content[len(header) :]


def renamed(content: bytes, rng: np.random.Generator) -> bytes:
    """Be another kind of file altogether, with nothing in it."""
    del content
    return HEADERS[rng.integers(len(HEADERS))] + rng.bytes(int(rng.integers(200)))


def repeated(content: bytes, rng: np.random.Generator) -> bytes:
    """Insert a stretch once more, as a transfer that was resumed at the wrong place does."""
    start, end = sorted(rng.integers(len(content) + 1, size=2))
    return content[:end] + content[start:]


def shortened(content: bytes, rng: np.random.Generator) -> bytes:
    """Lack a stretch in the middle."""
    start = int(rng.integers(len(content)))
    return content[:start] + content[start + int(rng.integers(1, 33)) :]


def with_tail(content: bytes, rng: np.random.Generator) -> bytes:
    """Go on after the end; most formats allow that."""
    return content + rng.bytes(int(rng.integers(1, 400)))


def as_utf16(content: bytes, rng: np.random.Generator) -> bytes:
    del rng
    return content.decode("latin-1").encode("utf-16")


def with_line_ends(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace line ends, as a transfer in text mode does."""
    del rng
    return content.replace(b"\n", b"\r\n")


BYTES: Mapping[str, Damage] = {
    damage.__name__: damage
    for damage in (
        *(truncated, emptied, flipped, header_flipped, zeroed, overwritten, enlarged, beheaded),
        *(renamed, repeated, shortened, with_tail, as_utf16, with_line_ends),
    )
}
"""For files of any kind."""


def value_replaced(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace the value of a key by another one."""
    text = content.decode()
    found = list(re.finditer(r'(?<=": )("[^"]*"|-?[\d.e+-]+|null|true|false)', text))
    chosen = found[rng.integers(len(found))]
    value = VALUES[rng.integers(len(VALUES))]
    return (text[: chosen.start()] + value + text[chosen.end() :]).encode("utf-8", "surrogatepass")


def element_replaced(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace an element of a list by another value."""
    text = content.decode()
    found = list(re.finditer(r'(?<=[\[,]\n)(\s*)("[^"]*"|-?[\d.e+-]+)(?=,?\n)', text))
    if not found:
        return value_replaced(content, rng)
    chosen = found[rng.integers(len(found))]
    value = VALUES[rng.integers(len(VALUES))]
    return (text[: chosen.start(2)] + value + text[chosen.end(2) :]).encode("utf-8")


def line_dropped(content: bytes, rng: np.random.Generator) -> bytes:
    """Lack a line."""
    lines = content.splitlines(keepends=True)
    del lines[rng.integers(len(lines))]
    return b"".join(lines)


def key_renamed(content: bytes, rng: np.random.Generator) -> bytes:
    """Misspell a key."""
    text = content.decode()
    found = list(re.finditer(r'"\w+"(?=:)', text))
    chosen = found[rng.integers(len(found))]
    return f"{text[: chosen.start() + 1]}x{text[chosen.start() + 1 :]}".encode()


def nested(content: bytes, rng: np.random.Generator) -> bytes:
    """Be nested deeper than any parser goes."""
    del content
    depth = int(rng.integers(1000, 200_000))
    return b"[" * depth + b"]" * depth


def other_json(content: bytes, rng: np.random.Generator) -> bytes:
    """Be JSON of another type."""
    del content
    return VALUES[rng.integers(len(VALUES))].encode("utf-8", "surrogatepass")


JSON: Mapping[str, Damage] = {
    **{name: BYTES[name] for name in ("truncated", "emptied", "flipped", "zeroed", "renamed")},
    **{
        damage.__name__: damage
        for damage in (
            *(value_replaced, element_replaced, line_dropped, key_renamed, nested, other_json),
            as_utf16,
        )
    },
}
"""For JSON, written with one key or element a line."""
