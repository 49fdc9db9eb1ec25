"""What looks odd about a folder of images: nothing here is refused, but each may surprise."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from dualad.data.formats import FileProperties
from dualad.data.inspection import Examined, Inspection, copies, counted
from dualad.data.split import Split

_FEW = 20
"""With fewer normal training images, results depend on which ones they are."""

_LONG_NAME = 200
"""Bytes of a file name from which on names that are made of it have to be shortened."""

_NEARLY_SQUARE = 1.1
"""Longer side over shorter side."""


def oddities(inspection: Inspection) -> list[str]:
    """Everything about the images that a user should know before training, in sentences.

    Parameters
    ----------
    inspection
        What was found out about the folder.
    """
    images = inspection.images
    found = [*inspection.messages, *_about_files(images)]
    if not inspection.refusal:
        found += [*_about_classes(images), *_about_masks(images), *_about_split(inspection)]
    found += _about_copies(images, listed=not inspection.refusal)
    if inspection.n_decoded < len(images):
        found.append(
            f"of {len(images)} images, {inspection.n_decoded} were decoded; the others may still "
            "be damaged"
        )
    return found


def _named(images: Sequence[Examined]) -> str:
    """How many images, with the first one's name: `3 images (train/good/1.png, ...)`."""
    if len(images) == 1:
        return f"1 image ({images[0].record.source})"
    return f"{len(images)} images ({images[0].record.source}, ...)"


def _with(images: Iterable[Examined], test: Callable[[FileProperties], bool]) -> list[Examined]:
    """Images whose files have a property."""
    return [image for image in images if image.properties and test(image.properties)]


def _about_files(images: Sequence[Examined]) -> Iterator[str]:
    turned = _with(images, lambda about: about.orientation != 1)
    if turned:
        orientations = counted(
            [str(image.properties.orientation) for image in turned if image.properties]
        )
        yield (
            f"EXIF orientation {orientations} in {_named(turned)}: turned upright, as viewers do; "
            "masks must be drawn on the upright image"
        )
    transparent = _with(images, lambda about: about.has_alpha)
    if transparent:
        yield f"transparency in {_named(transparent)}: transparent pixels are read as white"
    profiles = _with(images, lambda about: about.has_profile)
    if profiles:
        yield f"a colour profile in {_named(profiles)}: colours are converted to sRGB"
    constant = [image for image in images if image.constant]
    if constant:
        yield f"nothing but a single colour in {_named(constant)}"
    long_sides = [
        image
        for image in images
        if image.size and max(image.size) > _NEARLY_SQUARE * min(image.size)
    ]
    if long_sides:
        yield f"width and height differ in {_named(long_sides)}: squeezed into a square"
    long_names = [
        image
        for image in images
        if len(image.record.source.rsplit("/", 1)[-1].encode()) > _LONG_NAME
    ]
    if long_names:
        yield f"a file name of more than {_LONG_NAME} bytes in {_named(long_names)}"


def _about_classes(images: Sequence[Examined]) -> Iterator[str]:
    """Differences between normal and anomalous images that have nothing to do with defects."""
    aspects: tuple[tuple[str, Callable[[Examined], str]], ...] = (
        ("file format", lambda image: image.properties.container if image.properties else ""),
        ("number of channels", _channels),
        ("bit depth", lambda image: str(image.properties.bits) if image.properties else ""),
        ("size", _size),
    )
    for aspect, value in aspects:
        normal, anomalous = (
            {value(image) for image in images if image.record.label == label and value(image)}
            for label in (0, 1)
        )
        if normal and anomalous and not normal & anomalous:
            yield (
                f"the {aspect} alone tells normal from anomalous images: {_some(normal)} against "
                f"{_some(anomalous)}; a good result would then mean nothing"
            )
        elif len(normal) > 1 and aspect != "size":
            yield f"the {aspect} differs between normal images: {_some(normal)}"


def _channels(image: Examined) -> str:
    if image.properties is None:
        return ""
    return (
        "grey"
        if image.properties.mode in ("1", "L", "LA", "F") or image.properties.is_grey
        else "colour"
    )


def _size(image: Examined) -> str:
    return f"{image.size[0]}x{image.size[1]}" if image.size else ""


def _some(values: Iterable[str], most: int = 3) -> str:
    ordered = sorted(values)
    return ", ".join(ordered[:most]) + (", ..." if len(ordered) > most else "")


def _about_masks(images: Sequence[Examined]) -> Iterator[str]:
    anomalous = [image for image in images if image.record.label]
    masked = [image for image in anomalous if image.record.mask]
    bare = [image for image in anomalous if not image.record.mask]
    if masked and bare:
        yield f"no mask for {_named(bare)}, while other anomalous images have one"
    kinds: tuple[tuple[str, Callable[[FileProperties], bool]], ...] = (
        (
            "lossy compression, which blurs black: a defect starts at 128 of 255",
            lambda about: about.lossy,
        ),
        ("a palette, whose colours count, not its indices", lambda about: about.mode == "P"),
        (
            "an alpha channel: transparent pixels are background",
            lambda about: about.has_alpha,
        ),
        ("an EXIF orientation: they are turned upright", lambda about: about.orientation != 1),
    )
    for words, test in kinds:
        found = [image for image in masked if image.mask_properties and test(image.mask_properties)]
        if found:
            yield f"the masks of {_named(found)} have {words}"
    empty = [image for image in masked if image.mask_share == 0]
    if empty:
        yield f"no anomalous pixel in the masks of {_named(empty)}"
    most = [image for image in masked if image.mask_share and 0.5 < image.mask_share < 1]
    if most:
        yield f"more than half of all pixels are anomalous in the masks of {_named(most)}"
    full = [image for image in masked if image.mask_share == 1]
    if full:
        yield f"nothing but anomalous pixels in the masks of {_named(full)}"


def _about_copies(images: Sequence[Examined], listed: bool) -> Iterator[str]:
    sets = copies(images)
    if not sets:
        return
    n_images = sum(map(len, sets))
    example = " and ".join(image.record.source for image in sets[0][:2])
    yield f"{n_images} images are copies of each other, byte for byte, such as {example}"
    if not listed:
        return
    leaked = [
        image
        for same in sets
        if any(copy.record.official_split != "train" for copy in same)
        for image in same
        if image.record.official_split == "train"
    ]
    if leaked:
        yield (
            f"copies of validation or test images in the training set, which are left out of "
            f"training: {_named(leaked)}"
        )
    contradicting = [same for same in sets if len({copy.record.label for copy in same}) > 1]
    if contradicting:
        names = " and ".join(image.record.source for image in contradicting[0][:2])
        yield f"the same image is both normal and anomalous: {names}"


def _about_split(inspection: Inspection) -> Iterator[str]:
    split = inspection.splits.get(inspection.protocol)
    if not isinstance(split, Split):
        return
    if len(split.train) < _FEW:
        yield (
            f"{len(split.train)} normal images are left for training under the protocol "
            f"{inspection.protocol}; that is few"
        )
    if not split.validation_anomalous:
        yield (
            f"under the protocol {inspection.protocol} the validation set has no anomalous images: "
            "give every method `threshold: {rule: quantile}` or `threshold: {rule: conformal}`, "
            "which need none, or choose another protocol"
        )
