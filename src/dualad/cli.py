"""The command `dualad`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from dualad import __version__
from dualad.errors import DualadError
from dualad.runtime import Runtime


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status: 0, or 1 after an error."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # Imported late, so that `--help` answers at once.
    from dualad.detector import score_folder

    runtime = Runtime(
        threads=options.threads,
        cores=options.threads,
        gpu=options.gpu,
        gpu_memory_mb=options.gpu_memory_mb,
    )
    try:
        unreadable = score_folder(
            options.results, options.images, options.out, runtime, overlays=options.overlays
        )
    except DualadError as error:
        print(f"dualad: {error}", file=sys.stderr)
        return 1
    print(f"wrote {options.out / 'scores.csv'}")
    if unreadable:
        print(
            f"dualad: {len(unreadable)} of the files could not be read or drawn: see "
            f"{options.out / 'unreadable.csv'}",
            file=sys.stderr,
        )
    return 1 if unreadable else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dualad", description="Image anomaly detection.")
    parser.add_argument("--version", action="version", version=f"dualad {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    score = commands.add_parser(
        "score",
        help="score a folder of new images with a finished detector",
        description="Score every image below a folder: a CSV with score, decision (1 anomalous), "
        "probability and uncertainty, and a heatmap overlay for each.",
    )
    score.add_argument("results", type=Path, help="a method's results, e.g. results/bottle/dual")
    score.add_argument("images", type=Path, help="folder of images")
    score.add_argument("--out", type=Path, default=Path("scored"), help="default: %(default)s")
    score.add_argument(
        "--no-overlays", dest="overlays", action="store_false", help="write the CSV only"
    )
    score.add_argument("--gpu", type=int, choices=(0, 1), default=0, help="default: the CPU")
    score.add_argument("--gpu-memory-mb", type=_positive, default=5600, help="default: %(default)s")
    score.add_argument("--threads", type=_positive, default=2, help="default: %(default)s")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)
