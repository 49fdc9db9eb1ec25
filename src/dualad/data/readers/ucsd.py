"""UCSD pedestrians: `Train/Train001/*.tif`, `Test/Test001/*.tif`, `Test/<subset>.m`.

Frames are labelled by the `.m` file: line by line, `TestVideoFile{end+1}.gt_frame = [5:90, 140];`
gives the anomalous frames of the next clip, counted from 1, both ends included. Clips with a folder
`<clip>_gt` have a mask per frame as well. A clip is a group.
"""

import re
from pathlib import Path

from dualad.data.images import ImageFile, MaskFile
from dualad.data.options import Reader, Request
from dualad.data.readers.image_files import files_in, folders_in, pair_masks, relative
from dualad.data.records import GOOD, Listing, Record
from dualad.design.datasets import UcsdEntry
from dualad.errors import DualadError, brief

_KNOWN_UNREADABLE = {"UCSDped1": frozenset({"Test/Test017/142.tif"})}
"""Frames that are broken in the archive as published."""

_ENTRY = re.compile(r"gt_frame\s*=\s*\[([^\]]*)\]")
_RANGE = re.compile(r"(\d+)(?:\s*:\s*(\d+))?")
_DEFECT = "anomalous"
_DIGITS = 6
"""Of a frame's number, at most."""


def parse_ground_truth(path: Path) -> list[set[int]]:
    """Anomalous frames of each test clip, counted from 1.

    Parameters
    ----------
    path
        The `.m` file.

    Raises
    ------
    DualadError
        If the file cannot be understood.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DualadError(f"{path}: cannot be read ({error.strerror or error})") from error
    # A percent sign starts a comment.
    code = "\n".join(line.split("%")[0] for line in text.splitlines())
    clips = []
    for entry in _ENTRY.findall(code):
        if re.sub(r"[\d:,;\s]", "", entry):
            raise _damaged(path, f"cannot understand the frames [{brief(entry)}]")
        frames: set[int] = set()
        for first, last in _RANGE.findall(entry):
            if max(len(first), len(last)) > _DIGITS:
                raise _damaged(path, f"no clip is as long as the frames [{brief(entry)}] say")
            frames.update(range(int(first), int(last or first) + 1))
        clips.append(frames)
    if not clips:
        raise _damaged(path, "no line TestVideoFile{end+1}.gt_frame = [first:last]; found")
    return clips


def _damaged(path: Path, reason: str) -> DualadError:
    return DualadError(f"{path}: {reason}; restore the file from the archive of the dataset")


def _scan(request: Request) -> Listing:
    subset = request.options["subset"]
    root = _subset_root(request.root, subset)
    train = [
        Record(relative(frame, root), ImageFile(frame), "train", 0, GOOD, group=clip.name)
        for clip in folders_in(root / "Train")
        for frame in files_in(clip)
    ]
    return Listing(
        [*train, *_scan_test(root, root / "Test" / f"{subset}.m")],
        known_unreadable=_KNOWN_UNREADABLE.get(subset, frozenset()),
    )


def _subset_root(root: Path, subset: str) -> Path:
    """Find the subset's folder: inside the root, inside the archive's own folder, or the root."""
    candidates = (root / subset, *(folder / subset for folder in folders_in(root)))
    return next((folder for folder in candidates if folder.is_dir()), root)


def _scan_test(root: Path, ground_truth: Path) -> list[Record]:
    folders = folders_in(root / "Test")
    clips = [folder for folder in folders if not folder.name.endswith("_gt")]
    if not clips:
        return []
    labels = parse_ground_truth(ground_truth)
    if len(labels) != len(clips):
        raise DualadError(
            f"{ground_truth}: describes {len(labels)} clips, but {root / 'Test'} holds "
            f"{len(clips)}; restore the missing files"
        )
    records = []
    for clip, anomalous in zip(clips, labels, strict=True):
        frames = files_in(clip)
        if anomalous and max(anomalous) > len(frames):
            raise DualadError(
                f"{ground_truth}: names frame {max(anomalous)} of {clip.name}, which has only "
                f"{len(frames)}; restore the missing files"
            )
        masks = clip.with_name(f"{clip.name}_gt")
        pairs = pair_masks(frames, [masks])
        for number, frame in enumerate(frames, start=1):
            label = int(number in anomalous)
            records.append(
                Record(
                    source=relative(frame, root),
                    image=ImageFile(frame),
                    official_split="test",
                    label=label,
                    defect=_DEFECT if label else GOOD,
                    group=clip.name,
                    mask=MaskFile(pairs[frame]) if label and frame in pairs else None,
                )
            )
    return records


READER = Reader(
    name="ucsd",
    scan=_scan,
    entry=UcsdEntry,
    expected="Train/Train001/*.tif, Test/Test001/*.tif and Test/UCSDped1.m",
)
