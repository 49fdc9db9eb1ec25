"""Speed and memory of building `dataset.h5`, against plain Pillow on the same cores.

Makes a folder of grey 512x496 images (the size of OCT2017's), a few hundred different ones that
hard links repeat, and compares

- `build`: `dualad.data.build_dataset`, hashes, checks, compression and writing included (a large
  JPEG is decoded at a fraction of its size);
- `plain`: a `multiprocessing.Pool` that opens, converts and resizes each file with Pillow and
  returns the pixels, nothing else.

Both run in fresh processes. Memory is the largest sum over the process tree of each process's
proportional share of its pages, which counts a page shared by several processes once.

Example: `python bench/dataset_cache.py --n 27000 --workers 2`
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

WIDTH, HEIGHT = 512, 496
DISTINCT = 300
SIZE = 68


def make_images(folder: Path, n: int, suffix: str) -> None:
    """Write `n` layered, speckled images like retinal scans, 80 % of them in `train/good`."""
    rng = np.random.default_rng(0)
    originals = folder / "originals"
    train, good, bad = (folder / name for name in ("train/good", "test/good", "test/bad"))
    for path in (originals, train, good, bad):
        path.mkdir(parents=True)
    rows = np.arange(HEIGHT)[:, None]
    for i in range(min(n, DISTINCT)):
        surface = ndimage.gaussian_filter(rng.standard_normal(WIDTH), 40) * 400 + HEIGHT / 2
        layers = 110 * np.exp(-(((rows - surface) / 60) ** 2)) * (1 + np.sin((rows - surface) / 8))
        speckle = ndimage.gaussian_filter(rng.gamma(2, 12, (HEIGHT, WIDTH)), 0.7)
        pixels = np.clip(layers + speckle, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(originals / f"{i}{suffix}", quality=90)
    for i in range(n):
        target = train if i % 10 < 8 else (good if i % 10 == 8 else bad)
        os.link(originals / f"{i % DISTINCT}{suffix}", target / f"NORMAL-{i // 4}-{i % 4}{suffix}")


def load_plain(path: Path) -> np.ndarray:
    """Decode and resize one image with Pillow."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def run_plain(folder: Path, workers: int) -> float:
    """Seconds that plain decoding and resizing of all images takes."""
    paths = sorted(path for path in folder.glob("t*/*/*") if path.is_file())
    start = time.perf_counter()
    with multiprocessing.Pool(workers) as pool:
        for _ in pool.imap(load_plain, paths, chunksize=64):
            pass
    return time.perf_counter() - start


def run_build(folder: Path, workers: int) -> float:
    """Seconds that `build_dataset` takes."""
    from dualad.data.cache import build_dataset

    entry = {"reader": "folder", "path": str(folder)}
    start = time.perf_counter()
    build_dataset(
        "bench",
        entry,
        folder / "dataset.h5",
        folder / "dataset.json",
        image_size=SIZE,
        workers=workers,
    )
    return time.perf_counter() - start


def tree_memory(pid: int) -> int:
    """Bytes of memory of a process and its descendants, shared pages divided among their users."""
    total, waiting = 0, [pid]
    while waiting:
        process = Path("/proc") / str(waiting.pop())
        try:
            rollup = (process / "smaps_rollup").read_text()
            waiting += map(int, (process / f"task/{process.name}/children").read_text().split())
        except OSError:
            continue
        total += sum(
            int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")
        )
    return total


def measure(kind: str, folder: Path, workers: int) -> tuple[float, int]:
    """Run one side in a fresh interpreter; seconds and peak bytes."""
    command = [sys.executable, __file__, "--child", kind, str(folder), "--workers", str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.2):
            peak = max(peak, tree_memory(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{kind} failed")
    return float(output), peak


def main() -> None:
    """Measure and print a line of JSON per format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=27_000, help="number of images")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side, alternating")
    parser.add_argument("--formats", nargs="+", default=["jpg", "png"], choices=["jpg", "png"])
    parser.add_argument("--child", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        side, folder = args.child
        run = {"plain": run_plain, "build": run_build}[side]
        print(run(Path(folder), args.workers))
        return
    for suffix in args.formats:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_images(folder, args.n, f".{suffix}")
            runs: dict[str, list[tuple[float, int]]] = {"plain": [], "build": []}
            for _ in range(args.repeats):
                for side, results in runs.items():
                    results.append(measure(side, folder, args.workers))
        speed = {
            side: args.n / statistics.median(seconds for seconds, _ in results)
            for side, results in runs.items()
        }
        report = {
            "format": suffix,
            "n": args.n,
            "workers": args.workers,
            "plain_images_per_s": round(speed["plain"]),
            "build_images_per_s": round(speed["build"]),
            "build_over_plain": round(speed["build"] / speed["plain"], 2),
            "build_peak_mb": round(max(peak for _, peak in runs["build"]) / 1e6),
        }
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
