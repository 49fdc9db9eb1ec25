"""The dropout search: its space, its determinism, and that a killed one ends the same."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from development import development_split

import dualad.network.search
from dualad.data.plan import Seeds
from dualad.design.parameters import DualAutoencoderParams, SearchParams
from dualad.network.checkpoint import Pace
from dualad.network.model import build_dual_autoencoder
from dualad.network.search import TrialRecord, search_dropout
from dualad.network.trainer import DevelopmentPool, NetworkTrainer, TrainingDesign

SIZE = 6
PARAMS = DualAutoencoderParams(
    encoder_widths=(6, 4),
    decoder_widths=(5,),
    search=SearchParams(trials=3, epochs=2, learning_rates=(1e-3, 1e-2)),
)
IMAGES = np.random.default_rng(0).uniform(0.2, 0.4, (20, SIZE, SIZE)).astype(np.float32)
POOL = DevelopmentPool(np.arange(20), IMAGES, np.zeros(20, np.int8))
SPLIT = development_split(15, 5, protocol="official")


@pytest.fixture(scope="module")
def trainer() -> NetworkTrainer:
    """Shared, because a search resets it before every trial."""
    return NetworkTrainer(build_dual_autoencoder(SIZE, PARAMS, 1), IMAGES, 6, 1e-3)


def search(
    trainer: NetworkTrainer, work: Path, tuner: str = "random", **changes: object
) -> list[TrialRecord]:
    settings = dataclasses.replace(PARAMS.search, tuner=tuner, **changes)  # type: ignore[arg-type]
    params = dataclasses.replace(PARAMS, search=settings)
    design = TrainingDesign(SPLIT, Seeds.fixed(3), params)
    records = search_dropout(trainer, POOL, design, work, "d")
    return [dataclasses.replace(record, seconds=0.0) for record in records]


def test_every_layer_gets_a_rate_of_its_own(trainer: NetworkTrainer, tmp_path: Path) -> None:
    records = search(trainer, tmp_path, max_dropout=0.4)
    assert len(records) == 3
    for record in records:
        rates = [record.values[name] for name in PARAMS.dropout_names]
        assert len(set(rates)) == len(rates) == 3
        assert all(0 <= rate <= 0.4 for rate in rates)
        assert record.values["learning_rate"] in (1e-3, 1e-2)
        assert record.epochs == 2


@pytest.mark.parametrize("tuner", ["random", "bayesian", "hyperband"])
@pytest.mark.parametrize(
    ("dies_after", "due", "kept"),
    # Trials have two epochs each. A finished one is in the journal; a checkpoint is for the others,
    # and is written before an epoch.
    [(0, False, 0), (3, True, 3), (3, False, 2)],
)
def test_a_killed_search_ends_as_an_uninterrupted_one(
    trainer: NetworkTrainer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tuner: str,
    dies_after: int,
    due: bool,
    kept: int,
) -> None:
    expected = search(trainer, tmp_path / "whole", tuner)

    monkeypatch.setattr(Pace, "due", due)
    epochs = 0
    train_epoch = NetworkTrainer.train_epoch

    def dying(
        self: NetworkTrainer, train: np.ndarray, rng: np.random.Generator
    ) -> tuple[float, float]:
        nonlocal epochs
        if epochs == dies_after:
            raise KeyboardInterrupt
        epochs += 1
        return train_epoch(self, train, rng)

    with monkeypatch.context() as patch:
        patch.setattr(NetworkTrainer, "train_epoch", dying)
        with pytest.raises(KeyboardInterrupt):
            search(trainer, tmp_path / "killed", tuner)

    monkeypatch.setattr(
        NetworkTrainer,
        "train_epoch",
        lambda self, train, rng: (counted.append(1), train_epoch(self, train, rng))[1],
    )
    counted: list[int] = []
    assert search(trainer, tmp_path / "killed", tuner) == expected
    assert len(counted) == sum(record.epochs for record in expected) - kept


def test_a_loss_that_is_not_finite_fails_the_trial_and_not_the_search(
    trainer: NetworkTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = NetworkTrainer.evaluate
    results = iter([math.nan] * 2)

    def failing(self: NetworkTrainer, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        lost = next(results, None)
        return evaluate(self, indices) if lost is None else (np.full(len(indices), lost),) * 2

    monkeypatch.setattr(NetworkTrainer, "evaluate", failing)
    records = search(trainer, tmp_path, "bayesian")
    assert [record.status for record in records] == ["FAILED", "FAILED", "COMPLETED"]
    assert [record.val_loss == math.log(2) ** 2 for record in records] == [True, True, False]


def test_a_search_without_any_finite_loss_says_what_to_change(
    trainer: NetworkTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        NetworkTrainer, "evaluate", lambda self, indices: (np.full(len(indices), np.nan),) * 2
    )
    with pytest.raises(
        dualad.network.search.DivergedError, match=r"all 3 trials .* lower learning_rate"
    ):
        search(trainer, tmp_path)


def test_hyperband_follows_its_own_schedule(trainer: NetworkTrainer, tmp_path: Path) -> None:
    # Li et al., JMLR 18, 2018, with factor 3 and at most 3 epochs: a bracket that halves, and one
    # that does not.
    records = search(trainer, tmp_path, "hyperband", trials=1, epochs=3)
    assert [record.epochs for record in records] == [1, 1, 1, 3, 3, 3]


def test_an_error_of_ours_is_not_taken_for_a_failed_trial(
    trainer: NetworkTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise dualad.network.search.DualadError("no room")

    monkeypatch.setattr(Pace, "due", True)
    monkeypatch.setattr(dualad.network.search.CheckpointStore, "write", full)
    with pytest.raises(dualad.network.search.DualadError, match="no room"):
        search(trainer, tmp_path)


def test_a_trial_scores_its_best_epoch_on_validation_normals_alone(
    trainer: NetworkTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.zeros(20, np.int8)
    labels[18:] = 1
    split = dataclasses.replace(
        SPLIT, validation_normal=(15, 16, 17), validation_anomalous=(18, 19)
    )
    seen = []
    losses = iter([0.5, 0.125, 0.25])

    def evaluate(self: NetworkTrainer, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(indices)
        loss = np.full(len(indices), next(losses))
        return loss, loss

    monkeypatch.setattr(NetworkTrainer, "evaluate", evaluate)
    settings = dataclasses.replace(PARAMS.search, trials=1, epochs=3)
    params = dataclasses.replace(PARAMS, search=settings)
    design = TrainingDesign(split, Seeds.fixed(3), params)
    pool = DevelopmentPool(np.arange(20), IMAGES, labels)
    (record,) = search_dropout(trainer, pool, design, tmp_path, "d")
    assert record.val_loss == 0.125 and record.epochs == 3
    assert len(seen) == 3 and all(labels[indices].max() == 0 for indices in seen)
