import csv
import json

import pytest

from dualad.errors import DualadError
from dualad.results.batch_search import (
    BatchSearch,
    Evaluation,
    Optimum,
    read_batch_search,
    read_optima,
    write_batch_search,
)


def test_files_hold_the_search_and_are_read_back(tmp_path):
    found = BatchSearch(
        26_684,
        20_000,
        10,
        2000,
        (
            Evaluation(13_342, None, "26684 / 2"),
            Evaluation(364, 0.9695, "(312 + 416) / 2"),
            Evaluation(338, 0.96, "(364 + 312) / 2"),
        ),
    )
    paths = tmp_path / "rsna" / "evaluations.csv", tmp_path / "rsna" / "result.json"
    write_batch_search(found, *paths)
    with paths[0].open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "step": "1",
        "batch_size": "13342",
        "auroc": "",
        "origin": "26684 / 2",
        "best": "0",
    }
    assert [row["batch_size"] for row in rows if row["best"] == "1"] == ["364"]
    assert json.loads(paths[1].read_text()) == {
        "n_images": 26_684,
        "batch_size": 364,
        "auroc": 0.9695,
        "max_batch": 20_000,
        "epsilon": 10,
        "start_limit": 2000,
        "n_evaluated": 2,
    }
    assert read_batch_search(paths[0].parent) == found
    before = [path.read_bytes() for path in paths]
    write_batch_search(found, *paths)
    assert [path.read_bytes() for path in paths] == before
    assert not list((tmp_path / "rsna").glob(".*"))


@pytest.mark.parametrize("damaged", ["evaluations.csv", "result.json"])
@pytest.mark.parametrize("content", [None, "{", "a,b\n1,2\n"])
def test_a_damaged_file_is_named(tmp_path, damaged, content):
    found = BatchSearch(4, None, 10, 2000, (Evaluation(2, 0.5, "4 / 2"),))
    paths = tmp_path / "evaluations.csv", tmp_path / "result.json"
    write_batch_search(found, *paths)
    (tmp_path / damaged).unlink()
    if content:
        (tmp_path / damaged).write_text(content)
    with pytest.raises(DualadError, match=damaged):
        read_batch_search(paths[0].parent)


def test_optima_are_read_from_the_searches(tmp_path):
    found = [Optimum("digits", 1797, 112), Optimum("faces", 200, 25)]
    paths = [tmp_path / name / "batch_search" / "result.json" for name in ("digits", "faces")]
    for optimum, path in zip(found, paths, strict=True):
        evaluation = Evaluation(optimum.batch_size, 0.5, "")
        search = BatchSearch(optimum.n_images, None, 10, 2000, (evaluation,))
        write_batch_search(search, path.with_name("evaluations.csv"), path)
    assert read_optima(paths) == found
    (tmp_path / "faces" / "batch_search" / "result.json").write_text("[]")
    with pytest.raises(DualadError, match=r"faces/batch_search/result\.json.*delete it"):
        read_optima([tmp_path / "faces" / "batch_search" / "result.json"])


