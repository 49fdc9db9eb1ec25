"""How much of the default run is not training, search or scoring; how long a dry run takes.

    python bench/default_run.py [--configfile config/config.yaml] [--cores 4]

Runs the workflow in a temporary folder. The share is of the run's wall time in which no job that
searches, trains or scores with a network was running, its start of Python and TensorFlow included;
such jobs may overlap. Then a second run, which has nothing to do, and dry runs of the default
configuration and of the paper's.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

OTHER = "other rules"

ROOT = Path(__file__).resolve().parent.parent


def snakemake(folder: Path, *arguments: str) -> float:
    """Run Snakemake on the project in `folder`; wall seconds."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--workflow-profile", "none", *arguments]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - started


def kind_of(benchmark: Path) -> str:
    """What a job with a network does; `OTHER` for all other jobs."""
    stage = benchmark.stem
    if benchmark.parent.name == "sweeps":
        return "sweeps"
    if stage == "batch_search":
        return stage
    # A control, which has no network, is fitted and scored by rules of the same names.
    if stage == "fit" and not (benchmark.parent / "score.tsv").exists():
        return "baselines"
    if stage in ("search", "train") or (
        stage == "score" and not (benchmark.parent / "fit.tsv").exists()
    ):
        return stage
    return OTHER


def covered(intervals: list[tuple[float, float]]) -> float:
    """Length of the union of intervals, each a start and an end."""
    length, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        length += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return length


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configfile", type=Path, default=ROOT / "config" / "config.yaml")
    parser.add_argument("--cores", default="4")
    options = parser.parse_args()
    run = ["--cores", options.cores, "--resources", "gpu=1"]
    run += ["--configfile", str(options.configfile.resolve())]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        total = snakemake(folder, *run)
        seconds: dict[str, float] = {}
        networks: list[tuple[float, float]] = []
        for path in sorted((folder / "results" / "benchmarks").rglob("*.tsv")):
            kind = kind_of(path)
            spent = float(pd.read_csv(path, sep="\t")["s"].sum())
            seconds[kind] = seconds.get(kind, 0.0) + spent
            if kind != OTHER:
                # Snakemake writes the file when the job ends.
                networks.append((path.stat().st_mtime - spent, path.stat().st_mtime))
        working = covered(networks)
        print(f"default run: {total:.0f} s; not with a network {100 * (1 - working / total):.0f} %")
        for kind, spent in sorted(seconds.items(), key=lambda item: -item[1]):
            print(f"  {kind:15s} {spent:7.1f} s")
        print(f"second run: {snakemake(folder, *run):.1f} s")
    with tempfile.TemporaryDirectory() as name:
        for configfile in ("config.yaml", "paper.yaml"):
            path = str(ROOT / "config" / configfile)
            spent = snakemake(
                Path(name), "--dry-run", "--quiet", "--cores", "4", "--configfile", path
            )
            print(f"dry run of {configfile}: {spent:.1f} s")


if __name__ == "__main__":
    main()
