"""Decode given images on all cores while a detector scores those before them."""

import logging
import os
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from dualad.data.formats import UnreadableImageError
from dualad.data.images import load_content
from dualad.deployment.fitted import FittedMethod
from dualad.deployment.given import GivenImage
from dualad.errors import DualadError
from dualad.methods.base import FloatArray

logger = logging.getLogger(__name__)

Problems = list[tuple[str, str]]
"""Name of an image, and why it could not be read."""

_AHEAD = 64
"""Images that are decoded before they are wanted, beside those of a batch."""


def decoded_batches(
    images: Sequence[GivenImage], fitted: FittedMethod, size: int, problems: Problems | None
) -> Iterator[tuple[list[GivenImage], FloatArray]]:
    """Read images as the method saw them in training, a batch at a time and in order.

    Parameters
    ----------
    images, fitted
        The images, and the method that wants them.
    size
        Images of a batch; the last one may have fewer.
    problems
        Gets the images that cannot be read; None to raise an error at the first.

    Yields
    ------
    images, pixels
        Those of a batch, and float32 in [0, 1], (n, S, S) or (n, S, S, 3).

    Raises
    ------
    DualadError
        If an image cannot be read and `problems` is None.
    """
    batch: list[tuple[GivenImage, FloatArray]] = []
    for image, pixels in _decoded(images, fitted, size + _AHEAD):
        if isinstance(pixels, UnreadableImageError):
            if problems is None:
                raise DualadError(f"image {image.name}: {pixels}") from pixels
            problem = f"{image.source}: {pixels}; replace the file or leave it out"
            logger.warning("left out: %s", problem)
            problems.append((image.name, problem))
            continue
        batch.append((image, pixels))
        if len(batch) == size:
            yield _stacked(batch)
            batch = []
    if batch:
        yield _stacked(batch)


def _decoded(
    images: Sequence[GivenImage], fitted: FittedMethod, ahead: int
) -> Iterator[tuple[GivenImage, FloatArray | UnreadableImageError]]:
    """Every image with its pixels, or with what is wrong with it; in order."""

    def decode(image: GivenImage) -> FloatArray | UnreadableImageError:
        report = fitted.report
        try:
            return load_content(
                image.content(report), report.image_size, color=report.color, **fitted.ranges
            )
        except UnreadableImageError as error:
            return error

    waiting: deque[tuple[GivenImage, Future[FloatArray | UnreadableImageError]]] = deque()
    # Threads, because TensorFlow's process cannot be forked. Pillow decodes and resizes without
    # Python's lock. What decoders do to the filters of warnings is undone here for all of them.
    with warnings.catch_warnings(), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        try:
            for image in images:
                waiting.append((image, pool.submit(decode, image)))
                if len(waiting) > ahead:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _stacked(
    batch: Sequence[tuple[GivenImage, FloatArray]],
) -> tuple[list[GivenImage], FloatArray]:
    return [image for image, _ in batch], np.stack([pixels for _, pixels in batch])
