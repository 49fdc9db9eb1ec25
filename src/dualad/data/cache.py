"""Decode a dataset once, in parallel, into `dataset.h5` and `dataset.json`.

Images stream through in batches: the parent process holds the list of names and a few batches,
never the images. Batches are written in the order of the list, so the file is the same byte for
byte whatever the number of processes was.
"""

import hashlib
import json
import logging
import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from dualad.data.formats import UnreadableImageError
from dualad.data.images import MaskMismatchError
from dualad.data.ranges import with_value_range
from dualad.data.records import Listing, Record
from dualad.data.registry import describe, list_records
from dualad.errors import DualadError
from dualad.files import Hdf5Sink, replacing, write_json
from dualad.progress import INTERVAL_SECONDS, LogStream

logger = logging.getLogger(__name__)

BATCH = 64
"""Images per task of a decoding process and per write."""

CHUNK = 16
"""Images per HDF5 chunk; a divisor of `BATCH`, so that a chunk is compressed only once."""


@dataclass(frozen=True)
class _Batch:
    """What a decoding process sends back for up to `BATCH` records."""

    pixels: npt.NDArray[Any] | None
    kept: list[int]
    sha256: list[str]
    masks: dict[int, npt.NDArray[np.uint8]]
    failures: dict[int, str]


@dataclass
class _Result:
    """What is known once every image has been written."""

    records: list[Record] = field(default_factory=list)
    sha256: list[str] = field(default_factory=list)
    mask_index: list[int] = field(default_factory=list)
    unreadable: list[dict[str, str]] = field(default_factory=list)


def build_dataset(
    name: str,
    entry: Mapping[str, Any],
    h5_path: str | Path,
    json_path: str | Path,
    *,
    image_size: int,
    color: bool = False,
    workers: int = 1,
    resources_dir: str | Path = "resources",
    progress: bool = False,
) -> None:
    """Cache a dataset as HDF5, with its description as JSON.

    Parameters
    ----------
    name
        The dataset's name.
    entry
        Its mapping in the configuration.
    h5_path, json_path
        Files to write; they appear only when they are complete.
    image_size
        Side S to which images are resized.
    color
        Store colour images (S, S, 3) instead of grey ones (S, S).
    workers
        Decoding processes; with 1, this process decodes. Embedded data and members of an .npz file
        are always decoded here.
    resources_dir
        Folder of the downloads.
    progress
        Show a progress bar.

    Raises
    ------
    DualadError
        On a wrong entry, absent data, an unreadable image (unless `skip_unreadable`), a mask that
        does not fit its image, or a full disk.
    """
    listing = list_records(name, entry, resources_dir)
    h5_path, json_path = Path(h5_path), Path(json_path)
    listing, value_range = with_value_range(name, listing)
    images = _ImageSettings(name, image_size, color, bool(entry.get("skip_unreadable", False)))
    bar = tqdm(
        total=len(listing.records),
        desc=f"{name}: caching images",
        unit="image",
        file=LogStream(),
        mininterval=INTERVAL_SECONDS,
        disable=not progress,
    )
    with replacing(h5_path) as temporary, bar, Hdf5Sink(temporary) as sink:
        with h5py.File(sink, "w") as file:
            result = _Result()
            for written in _write(file, listing, result, images, workers):
                sink.check()
                bar.update(written)
            dropped, duplicates = _duplicates(result)
            _write_table(file, result, dropped)
            file.attrs["name"] = name
            file.attrs["reader"] = str(entry["reader"])
            if listing.depth_range:
                file.attrs["depth_range"] = np.asarray(listing.depth_range)
            if value_range:
                file.attrs["value_range"] = np.asarray(value_range)
            file.flush()
            file.attrs["complete"] = True
        sink.sync()
        summary = _summary(name, entry, listing, result, duplicates, image_size)
        summary["value_range"] = list(value_range) if value_range else None
        write_json(json_path, summary)


@dataclass(frozen=True)
class _ImageSettings:
    """How the images of a dataset are cached; the fields are `build_dataset`'s arguments."""

    name: str
    image_size: int
    color: bool
    skip_unreadable: bool


def _write(
    file: h5py.File, listing: Listing, result: _Result, settings: _ImageSettings, workers: int
) -> Iterator[int]:
    """Decode all images and write pixels and masks; yields how many, batch by batch."""
    name, image_size, color = settings.name, settings.image_size, settings.color
    shape = (image_size, image_size)
    dtype = np.dtype(np.float32 if listing.depth_range else np.uint8)
    images = _growing(file, "images", (*shape, 3) if color else shape, dtype, len(listing.records))
    masks = _growing(file, "masks", shape, np.dtype(np.uint8), 0)
    for records, batch in _decoded(listing.records, image_size, color, workers):
        for position, reason in batch.failures.items():
            record = records[position]
            if not settings.skip_unreadable and record.source not in listing.known_unreadable:
                raise DualadError(
                    f"{record.image.location}: {reason}; replace or remove the file, or set "
                    f"datasets.{name}.skip_unreadable: true to list it and go on"
                )
            logger.warning("%s: %s; left out", record.image.location, reason)
            result.unreadable.append({"image": record.source, "reason": reason})
        start = len(result.records)
        if batch.pixels is not None:
            images[start : start + len(batch.kept)] = batch.pixels
        present = [i for i in batch.kept if i in batch.masks]
        first = masks.shape[0]
        if present:
            masks.resize(first + len(present), axis=0)
            masks[first:] = np.stack([batch.masks[i] for i in present])
        rows = {i: first + j for j, i in enumerate(present)}
        result.records += [records[i] for i in batch.kept]
        result.sha256 += batch.sha256
        result.mask_index += [rows.get(i, -1) for i in batch.kept]
        yield len(records)
    if not any(r.official_split == "train" and r.label == 0 for r in result.records):
        raise DualadError(
            f"dataset {name}: none of its normal training images can be read, the first being "
            f"{result.unreadable[0]['image']} ({result.unreadable[0]['reason']}); replace the files"
        )
    images.resize(len(result.records), axis=0)


def _growing(
    file: h5py.File, key: str, shape: tuple[int, ...], dtype: np.dtype[Any], rows: int
) -> h5py.Dataset:
    return file.create_dataset(
        key,
        shape=(rows, *shape),
        maxshape=(None, *shape),
        dtype=dtype,
        chunks=(CHUNK, *shape),
        compression="gzip",
        compression_opts=1,
        shuffle=dtype.itemsize > 1,
        # Times would make two runs differ.
        track_times=False,
    )


def _decoded(
    records: list[Record], image_size: int, color: bool, workers: int
) -> Iterator[tuple[list[Record], _Batch]]:
    """Batches of records with their images, in order; few are in memory at a time."""
    batches = (records[i : i + BATCH] for i in range(0, len(records), BATCH))
    workers = min(workers, -(-len(records) // BATCH))
    if workers <= 1 or not all(record.image.parallel for record in records):
        for batch in batches:
            yield batch, _decode(batch, image_size, color)
        return
    # A forked child starts at once and, unlike a spawned one, does not run the caller's script.
    start = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context(start), initializer=_ignore_interrupts
    )
    waiting: deque[tuple[list[Record], Future[_Batch]]] = deque()
    try:
        for batch in batches:
            waiting.append((batch, pool.submit(_decode, batch, image_size, color)))
            if len(waiting) > 3 * workers:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    except BrokenProcessPool as error:
        raise DualadError(
            "a decoding process was killed, probably for want of memory; run again with fewer "
            "threads (`--cores 1`)"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    # Ctrl-C reaches the whole process group; the parent alone reports it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _decode(records: list[Record], image_size: int, color: bool) -> _Batch:
    pixels: list[npt.NDArray[Any]] = []
    kept: list[int] = []
    sha256: list[str] = []
    masks: dict[int, npt.NDArray[np.uint8]] = {}
    failures: dict[int, str] = {}
    for position, record in enumerate(records):
        try:
            decoded = record.image.decode(image_size, color)
            if record.mask is not None:
                masks[position] = decode_mask(record, decoded.size, image_size)
        except UnreadableImageError as error:
            failures[position] = str(error)
            continue
        pixels.append(decoded.pixels)
        kept.append(position)
        sha256.append(decoded.sha256)
    return _Batch(np.stack(pixels) if pixels else None, kept, sha256, masks, failures)


def decode_mask(
    record: Record, image_wh: tuple[int, int], image_size: int
) -> npt.NDArray[np.uint8]:
    """Decode the mask of a record that has one.

    Parameters
    ----------
    record
        An image with a mask.
    image_wh
        Width and height of the image in pixels, before resizing.
    image_size
        Side of the result, S.

    Returns
    -------
    numpy.ndarray
        uint8 of zeros and ones, (S, S).

    Raises
    ------
    UnreadableImageError
        If the mask cannot be decoded.
    MaskMismatchError
        If it has not the size of its image.
    """
    assert record.mask is not None
    try:
        mask, mask_wh = record.mask.decode_mask(image_size)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"its mask {record.mask.location} is bad: {error}") from error
    if mask_wh != image_wh:
        raise MaskMismatchError(
            f"{record.mask.location}: this mask is {mask_wh[0]}x{mask_wh[1]} pixels, but its image "
            f"{record.image.location} is {image_wh[0]}x{image_wh[1]}; replace or remove the mask"
        )
    return mask


def _duplicates(result: _Result) -> tuple[list[bool], list[dict[str, str]]]:
    """Training images that are byte-identical to a validation or test image."""
    held_out: dict[str, str] = {}
    for record, digest in zip(result.records, result.sha256, strict=True):
        if record.official_split != "train":
            held_out.setdefault(digest, record.source)
    dropped = [
        record.official_split == "train" and digest in held_out
        for record, digest in zip(result.records, result.sha256, strict=True)
    ]
    pairs = [
        {"train": record.source, "other": held_out[digest]}
        for record, digest, drop in zip(result.records, result.sha256, dropped, strict=True)
        if drop
    ]
    return dropped, pairs


def _identical(result: _Result) -> list[list[str]]:
    """Sources of the images that share all bytes, for each such set of images."""
    by_digest: dict[str, list[str]] = {}
    for record, digest in zip(result.records, result.sha256, strict=True):
        by_digest.setdefault(digest, []).append(record.source)
    return [sources for sources in by_digest.values() if len(sources) > 1]


def _write_table(file: h5py.File, result: _Result, dropped: list[bool]) -> None:
    records = result.records
    _write_texts(file, "source", [record.source for record in records])
    _write_texts(file, "defect", [record.defect for record in records])
    _write_texts(file, "group", [record.group for record in records])
    _write_texts(file, "official_split", [record.official_split for record in records])
    _write_texts(file, "sha256", result.sha256)
    columns = {
        "label": np.array([record.label for record in records], dtype=np.int8),
        "dropped": np.array(dropped, dtype=np.bool_),
        "mask_index": np.array(result.mask_index, dtype=np.int32),
    }
    for key, values in columns.items():
        file.create_dataset(key, data=values, track_times=False)


def _write_texts(file: h5py.File, key: str, values: list[str]) -> None:
    encoded = [value.encode() for value in values]
    # Fixed length: variable-length text is stored uncompressed.
    dtype = h5py.string_dtype("utf-8", max(1, *map(len, encoded)))
    file.create_dataset(
        key,
        data=np.array(encoded, dtype=dtype),
        chunks=(min(len(values), 4096),),
        compression="gzip",
        compression_opts=1,
        track_times=False,
    )


def _summary(
    name: str,
    entry: Mapping[str, Any],
    listing: Listing,
    result: _Result,
    duplicates: list[dict[str, str]],
    image_size: int,
) -> dict[str, Any]:
    counts: dict[str, dict[str, dict[str, int]]] = {}
    digest = hashlib.sha256()
    for record, sha256 in zip(result.records, result.sha256, strict=True):
        label = "anomalous" if record.label else "normal"
        by_defect = counts.setdefault(record.official_split, {}).setdefault(label, {})
        by_defect[record.defect] = by_defect.get(record.defect, 0) + 1
        row = [record.source, sha256, record.label, record.defect, record.group]
        digest.update(json.dumps([*row, record.official_split]).encode() + b"\n")
    licence, url = describe(name, entry)
    return {
        "name": name,
        "reader": entry["reader"],
        "source": str(entry.get("path") or entry.get("download") or "embedded"),
        "image_size": image_size,
        "n_images": len(result.records),
        "counts": counts,
        "n_masks": sum(row >= 0 for row in result.mask_index),
        "content_sha256": digest.hexdigest(),
        "duplicates": duplicates,
        "identical": _identical(result),
        "unreadable": result.unreadable,
        "depth_range": list(listing.depth_range) if listing.depth_range else None,
        "licence": licence,
        "url": url,
        "note": listing.note,
    }
