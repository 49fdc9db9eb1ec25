import json
import math
import os

import pandas as pd
import pytest

from dualad.errors import DualadError
from dualad.results.experiment import (
    costs,
    dataset_note,
    read_attempts,
    read_metrics,
    read_scores,
    read_test_scores,
    read_trials,
)

HEADER = "image,split,label,decision,defect,group,score,probability\n"


def test_names_that_look_like_gaps_or_numbers_survive(tmp_path):
    names = ["NA", "null", "nan", "", "007", "1e5", "None"]
    rows = (f"{name},test,1,0,{name},{name},0.5,\n" for name in names)
    (tmp_path / "scores.csv").write_text(HEADER + "".join(rows))
    scores = read_scores(tmp_path, "probability")
    for column in ("image", "defect", "group"):
        assert scores[column].tolist() == names
    assert scores["probability"].isna().all()
    assert read_test_scores(tmp_path).index.tolist() == names


def test_names_need_not_be_utf_8(tmp_path):
    (tmp_path / "scores.csv").write_bytes(HEADER.encode() + b"\xff.png,test,0,0,good,,0.5,0.1\n")
    assert os.fsencode(read_scores(tmp_path)["image"][0]) == b"\xff.png"


def test_a_dataset_and_a_method_may_be_called_na(tmp_path):
    folder = tmp_path / "NA" / "null"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"dataset": "NA", "method": "null"}))
    assert read_metrics(folder) == {"dataset": "NA", "method": "null"}
    (folder / "attempts.csv").write_text("attempt,stopped,val_loss\n1,NA,\n")
    attempts = read_attempts(folder)
    assert attempts["stopped"].tolist() == ["NA"] and math.isnan(attempts["val_loss"][0])


def test_what_is_missing_is_no_error(tmp_path):
    assert read_metrics(tmp_path) is None and read_attempts(tmp_path) is None
    assert dataset_note(tmp_path) == ""
    assert set(costs(tmp_path).values()) == {None}


def test_the_note_on_a_dataset_has_the_warning_of_a_shift(tmp_path):
    shift = tmp_path / "shift.json"
    shift.write_text(json.dumps({"warning": "shifted split: test normals darker"}))
    assert dataset_note(tmp_path) == "shifted split: test normals darker"
    (tmp_path / "dataset.json").write_text(json.dumps({"note": "synthetic defects"}))
    assert dataset_note(tmp_path) == "synthetic defects; shifted split: test normals darker"
    shift.write_text(json.dumps({"warning": ""}))
    assert dataset_note(tmp_path) == "synthetic defects"
    shift.write_text("{")
    with pytest.raises(DualadError, match=r"shift\.json"):
        dataset_note(tmp_path)


def test_trials_count_only_where_they_were_used(tmp_path):
    (tmp_path / "search").mkdir()
    table = pd.DataFrame({"status": ["COMPLETED"], "val_loss": [0.1], "seconds": [2.0]})
    table.to_csv(tmp_path / "search/trials.csv", index=False)
    for dropout, found in (("tuned", True), (0.2, False)):
        threshold = {"method": {"family": "dual_autoencoder", "dropout": dropout}}
        (tmp_path / "threshold.json").write_text(json.dumps(threshold))
        assert (read_trials(tmp_path) is not None) == found


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a,b\n1,2\n", "no column image, split, label, decision, score"),
        (HEADER + "a,test,0,0,,,1,\n" * 2, "names an image twice"),
        ("", "EmptyDataError"),
    ],
)
def test_a_damaged_file_is_named_with_the_reason(tmp_path, content, reason):
    (tmp_path / "scores.csv").write_text(content)
    with pytest.raises(DualadError, match=rf"scores\.csv: cannot be read.*{reason}.*delete it"):
        read_test_scores(tmp_path)
