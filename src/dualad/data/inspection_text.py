"""An inspection in words: what `dualad inspect` prints."""

from collections.abc import Iterator, Sequence

import yaml

from dualad.data.inspection import Examined, Inspection, counted
from dualad.data.oddities import oddities

_MOST_PROBLEMS = 20
_SPLITS = ("train", "val", "test")


def grouped(inspection: Inspection) -> list[tuple[str, list[Examined]]]:
    """Images by set and class, or by folder where the reader refuses the whole.

    Parameters
    ----------
    inspection
        What was found out about the folder.

    Returns
    -------
    list of tuple
        The name of each group, and its images, in the order of the sets; normal images first.
    """
    groups: dict[tuple[int, int, str], list[Examined]] = {}
    for image in inspection.images:
        record = image.record
        if inspection.refusal:
            folder = record.source.rpartition("/")[0] or "."
            key = (0, 0, folder)
        else:
            name = f"{record.official_split} {record.defect}"
            key = (_SPLITS.index(record.official_split), record.label, name)
        groups.setdefault(key, []).append(image)
    return [(name, groups[place, label, name]) for place, label, name in sorted(groups)]


def inspection_text(inspection: Inspection) -> str:
    """Everything that was found out, as text with headings.

    Parameters
    ----------
    inspection
        What was found out about the folder.
    """
    noun = "image" if len(inspection.images) == 1 else "images"
    blocks = [
        f"{len(inspection.images)} {noun} in {inspection.entry['path']}, {_read_as(inspection)}",
        _table(inspection),
        _properties(inspection),
        _section("Looks odd", oddities(inspection)),
        _section("Refused", list(_refused(inspection))),
        _protocols(inspection),
        _configuration(inspection),
    ]
    return "\n\n".join(block for block in blocks if block)


def _read_as(inspection: Inspection) -> str:
    if inspection.refusal:
        return "which cannot be read as a dataset; by folder:"
    return f"read with `reader: {inspection.entry['reader']}`"


def _table(inspection: Inspection) -> str:
    rows = [("folder" if inspection.refusal else "set, class", "", "images", "masks", "refused")]
    for name, images in grouped(inspection):
        masks = sum(image.record.mask is not None for image in images)
        refused = sum(bool(image.problem) for image in images)
        label = "" if inspection.refusal else ("normal", "anomalous")[images[0].record.label]
        rows.append((name, label, str(len(images)), str(masks or "-"), str(refused or "-")))
    return "\n".join(_aligned(rows))


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table: two columns of words, the others of numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()


def _properties(inspection: Inspection) -> str:
    images = inspection.images
    lines = []
    sizes = [f"{image.size[0]}x{image.size[1]}" for image in images if image.size]
    if sizes:
        lines.append(f"size         {counted(sizes)}")
    files = [
        f"{about.container} {about.mode}, {about.bits} bits"
        for image in images
        if (about := image.properties)
    ]
    if files:
        lines.append(f"format       {counted(files)}")
    orientations = [
        "upright" if about.orientation == 1 else f"EXIF {about.orientation}"
        for image in images
        if (about := image.properties)
    ]
    if orientations:
        lines.append(f"orientation  {counted(orientations)}")
    if inspection.value_range:
        low, high = inspection.value_range
        lines.append(f"grey levels  {low:g} is shown as black, {high:g} as white")
    return "\n".join(f"  {line}" for line in lines)


def _section(title: str, lines: Sequence[str]) -> str:
    """A heading with a list; empty without lines."""
    if not lines:
        return ""
    return "\n".join([title, *(f"  - {line}" for line in lines)])


def _refused(inspection: Inspection) -> Iterator[str]:
    if inspection.refusal:
        yield inspection.refusal
    unreadable = inspection.unreadable
    for image in unreadable[:_MOST_PROBLEMS]:
        location = image.record.image.location
        yield image.problem if location in image.problem else f"{location}: {image.problem}"
    if len(unreadable) > _MOST_PROBLEMS:
        yield f"and {len(unreadable) - _MOST_PROBLEMS} more images"
    split = inspection.splits.get(inspection.protocol)
    if isinstance(split, str):
        yield split


def _protocols(inspection: Inspection) -> str:
    """What each protocol would train, validate and test on."""
    lines = []
    for protocol, split in inspection.splits.items():
        if isinstance(split, str):
            lines.append(f"{protocol}: not possible ({split})")
            continue
        n_anomalous = len(set(split.test) & _anomalous(inspection))
        lines.append(
            f"{protocol}: train on {len(split.train)}, validate on "
            f"{len(split.validation_normal)} normal and {len(split.validation_anomalous)} "
            f"anomalous, test on {len(split.test) - n_anomalous} and {n_anomalous}"
        )
    return _section("Protocols", lines)


def _anomalous(inspection: Inspection) -> set[int]:
    """Indices of the anomalous images among those that can be read."""
    readable = [image for image in inspection.images if not image.problem]
    return {index for index, image in enumerate(readable) if image.record.label}


def _configuration(inspection: Inspection) -> str:
    if inspection.refusal:
        return ""
    entry = {"reader": inspection.entry["reader"], **inspection.entry}
    lines = yaml.safe_dump(
        {"datasets": {inspection.name: entry}}, sort_keys=False, allow_unicode=True
    )
    return f"Configuration\n\n{lines}".rstrip()
