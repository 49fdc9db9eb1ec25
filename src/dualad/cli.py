"""The command `dualad`."""

import argparse
import hashlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from dualad import __version__
from dualad.errors import DualadError
from dualad.runtime import Runtime


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status: 0, 1 after an error, 130 after Ctrl-C."""
    options = argument_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        status = command(options)
        sys.stdout.flush()
        return status
    except DualadError as error:
        print(f"dualad: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dualad: interrupted; the same command begins again", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Who reads the output, such as `head`, has seen enough; nor is it flushed at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _score(options: argparse.Namespace) -> int:
    # Imported late, so that `--help` answers at once.
    from dualad.scored_folder import score_folder

    runtime = Runtime(
        threads=options.threads,
        cores=options.threads,
        gpu=options.gpu,
        gpu_memory_mb=options.gpu_memory_mb,
        programs=_programs(options.results),
    )
    unreadable = score_folder(
        options.results,
        options.images,
        options.out,
        runtime,
        overlays=options.overlays,
        base_rate=options.base_rate,
    )
    print(f"wrote {options.out / 'scores.csv'} and {options.out / 'gallery.html'}")
    if unreadable:
        print(
            f"dualad: {len(unreadable)} of the files could not be read or drawn: see "
            f"{options.out / 'unreadable.csv'}",
            file=sys.stderr,
        )
    return 1 if unreadable else 0


def _programs(results: Path) -> Path:
    """Where compiled programs of a detector are kept for the next time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "dualad" / hashlib.sha256(os.fsencode(results.resolve())).hexdigest()[:16]


def _export(options: argparse.Namespace) -> int:
    # Imported late, so that `--help` answers at once.
    if options.format:
        from dualad.deployment.network import export_network

        export_network(options.results, options.out, options.format)
    else:
        from dualad.deployment.export import export_detector

        export_detector(options.results, options.out)
    print(f"wrote {options.out}")
    return 0


def _inspect(options: argparse.Namespace) -> int:
    # Imported late, so that `--help` answers at once.
    from dualad.data.contact_sheet import write_contact_sheet
    from dualad.data.inspection import inspect
    from dualad.data.inspection_text import grouped, inspection_text

    reader = {"reader": options.reader} if options.reader else {}
    inspection = inspect(options.path, {**reader, **dict(options.keys)})
    print(inspection_text(inspection))
    write_contact_sheet(grouped(inspection), options.sheet)
    print(f"\nwrote {options.sheet}")
    if inspection.is_refused:
        print("dualad: some of this would be refused, see above", file=sys.stderr)
    return 1 if inspection.is_refused else 0


def argument_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="dualad", description="Image anomaly detection.")
    parser.add_argument("--version", action="version", version=f"dualad {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_inspect(
        commands.add_parser(
            "inspect",
            help="look at a folder of images before training",
            description="Say what would be read from a folder of images: counts, formats, masks, "
            "copies, what is refused and what looks odd, and the lines for the configuration.",
        )
    )
    score = commands.add_parser(
        "score",
        help="score a folder of new images with a finished detector",
        description="Score every image below a folder: a CSV with score, decision (1 anomalous), "
        "probability, p-value and uncertainty, a heatmap overlay for each, and a page to look at "
        "them.",
    )
    score.set_defaults(command=_score)
    score.add_argument(
        "results",
        type=Path,
        help="a method's results, e.g. results/bottle/dual, or a dataset's, e.g. results/bottle, "
        "for its recommended method; or a file that `dualad export` wrote",
    )
    score.add_argument("images", type=Path, help="folder of images")
    score.add_argument(
        "--out",
        type=Path,
        default=Path("scored"),
        metavar="FOLDER",
        help="where all of this goes; default: %(default)s",
    )
    score.add_argument(
        "--no-overlays",
        dest="overlays",
        action="store_false",
        help="write no overlays, and no heat in the page",
    )
    score.add_argument(
        "--base-rate",
        type=float,
        metavar="SHARE",
        help="share of anomalies among the images, at which the probabilities are to hold; "
        "default: that of the method's validation images",
    )
    score.add_argument(
        "--gpu", type=int, choices=(0, 1), default=0, help="1 for a GPU; default: the CPU"
    )
    score.add_argument(
        "--gpu-memory-mb",
        type=_positive,
        default=5600,
        metavar="MIB",
        help="most memory of the GPU that is used; default: %(default)s",
    )
    score.add_argument(
        "--threads",
        type=_positive,
        default=2,
        metavar="N",
        help="threads of the computation; default: %(default)s",
    )
    export = commands.add_parser(
        "export",
        help="write a finished detector to one file",
        description="Write a finished detector to one file, for `dualad score FILE IMAGES` on "
        "another machine: model, threshold, calibrator, colours, where it comes from, and its test "
        "results. Nothing in it is code.",
    )
    export.set_defaults(command=_export)
    export.add_argument("results", type=Path, help="a results folder, as for `dualad score`")
    export.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FILE", help="for example parts.dualad"
    )
    export.add_argument(
        "--format",
        choices=("savedmodel", "onnx", "tflite"),
        help="write the network alone, in a format of other programs; for methods of the dual "
        "families",
    )
    return parser


def _add_inspect(inspect: argparse.ArgumentParser) -> None:
    inspect.set_defaults(command=_inspect)
    inspect.add_argument("path", type=Path, help="folder of images, or an .npz file of MedMNIST")
    inspect.add_argument(
        "--reader", help="reader of the layout, such as `mvtec`; default: guessed from the layout"
    )
    inspect.add_argument(
        "--set",
        dest="keys",
        type=_key_and_value,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another key of the dataset's entry, such as `protocol=pooled`; repeatable",
    )
    inspect.add_argument(
        "--sheet",
        type=Path,
        default=Path("contact_sheet.png"),
        metavar="FILE",
        help="PNG with images of every class and the outlines of masks; default: %(default)s",
    )


def _key_and_value(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not (key and separator):
        raise argparse.ArgumentTypeError(f"{text} is not of the form KEY=VALUE")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"{value} is not a value in YAML") from error


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
