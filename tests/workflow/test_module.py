"""The workflow as a module of another one, and from another folder than its own."""

import subprocess
import sys
from pathlib import Path

import pytest
from workspace import GAPS, ROOT, Run, clean_environment

CONTROLS = GAPS.replace("  broken: {family: external, module: broken.py, class_name: Broken}\n", "")

IMPORT = f"""
module dualad:
    snakefile: "{ROOT / "Snakefile"}"

use rule * from dualad as dualad_*
"""

OWN_CONFIG = f"""
configfile: "config/mine.yaml"

module dualad:
    snakefile: "{ROOT / "Snakefile"}"
    config: config["anomalies"]

use rule * from dualad

rule mine:
    default_target: True
    input: "results/report.html"
    output: "mine.txt"
    shell: "echo {{config[greeting]}} > {{output}}"
"""


def snakemake(folder: Path, *arguments: str) -> Run:
    """Run Snakemake in a folder, as a user who typed the arguments there."""
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "none", "--cores", "2"]
    run = subprocess.run(
        [*command, "--nocolor", *arguments],
        cwd=folder,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    return Run(run.returncode, run.stdout)


def importer(folder: Path, snakefile: str, name: str, config: str) -> None:
    """Make a folder that holds `workflow/Snakefile` and a file in `config/`, and nothing else."""
    for path, text in ((f"config/{name}", config), ("workflow/Snakefile", snakefile)):
        (folder / path).parent.mkdir()
        (folder / path).write_text(text)


def test_a_module_with_a_prefix_runs_to_its_report(tmp_path: Path) -> None:
    importer(tmp_path, IMPORT, "config.yaml", CONTROLS)
    run = snakemake(tmp_path)
    assert run.returncode == 0, run.text
    assert run.jobs["dualad_fit"] == run.jobs["dualad_report"] == 1
    report = (tmp_path / "results/report.html").read_text()
    assert "Table 6: performance" in report and "pixel_std" in report
    again = snakemake(tmp_path)
    assert "Nothing to be done" in again.text, again.text


def test_an_importer_may_have_a_configuration_of_its_own(tmp_path: Path) -> None:
    indented = "".join(f"  {line}\n" for line in CONTROLS.splitlines())
    importer(tmp_path, OWN_CONFIG, "mine.yaml", f"greeting: hello\nanomalies:\n{indented}")
    run = snakemake(tmp_path)
    assert run.returncode == 0, run.text
    assert (tmp_path / "mine.txt").read_text() == "hello\n"


def test_the_default_configuration_runs_as_a_module(tmp_path: Path) -> None:
    importer(tmp_path, IMPORT, "config.yaml", (ROOT / "config/config.yaml").read_text())
    run = snakemake(tmp_path, "--dry-run")
    assert run.returncode == 0, run.text
    assert run.jobs["dualad_dataset"] == 4 and run.jobs["dualad_all"] == 1


@pytest.mark.parametrize("path", ["images", "/nowhere/images"])
def test_absent_images_are_explained_from_another_folder(tmp_path: Path, path: str) -> None:
    config = f"datasets: {{d: {{reader: folder, path: {path}}}}}\nmethods: {{p: {{family: pca}}}}\n"
    (tmp_path / "config.yaml").write_text(config)
    (tmp_path / "here").mkdir()
    command = ["--snakefile", str(ROOT / "Snakefile"), "--directory", "here"]
    run = snakemake(tmp_path, *command, "--configfile", "config.yaml", "--", "results/d/dataset.h5")
    assert run.returncode != 0 and path in run.text
    explained = f"relative to the working directory, {tmp_path / 'here'}" in run.text
    assert explained == (path == "images"), run.text
