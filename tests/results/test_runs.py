"""Notes of a method on several datasets."""

import json
from pathlib import Path

from dualad.figures.inputs import read_results
from dualad.results.runs import notes_across, read_runs


def write(folder: Path, dataset: str, *notes: str) -> Path:
    """Metrics with notes."""
    path = folder / dataset / "gradient" / "metrics.json"
    path.parent.mkdir(parents=True)
    content = {"dataset": dataset, "method": "gradient", "family": "gradient", "auroc": 0.5}
    path.write_text(json.dumps(content | {"notes": notes}))
    return path


def test_a_note_that_not_all_datasets_have_names_those_that_have_it(tmp_path: Path) -> None:
    paths = [
        write(tmp_path, "rope", "one bit", "higher"),
        write(tmp_path, "zipper", "one bit", "lower"),
        tmp_path / "gone/gradient/metrics.json",
    ]
    expected = ["one bit", "higher (rope)", "lower (zipper)"]
    assert notes_across(read_runs(paths)) == [*expected, "no result (gone)"]
    assert notes_across(read_runs(paths), gaps=False) == expected
    # Under a figure as well.
    assert read_results(paths).footnotes.text() == "\N{SUPERSCRIPT ONE} " + "; ".join(expected)
