import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dualad.data.split import DEFAULT_TEST_FRACTION
from dualad.paper.audit import (
    INPUTS,
    LABELLED,
    RECOMPUTED,
    RowAudit,
    audit_table_6,
    check_row,
    classes_fit,
    fitting_matrices,
    percentages,
    rates_of_printed,
)
from dualad.paper.numbers import paper_numbers


@pytest.fixture(scope="module")
def audit():
    return {row.dataset: row for row in audit_table_6()}


def of_counts(tp, fn, tn, fp):
    values = percentages(np.array([[tp, fn, tn, fp]]))
    return {key: float(value[0]) for key, value in values.items()}


def test_unrounded_rates_give_everything_back():
    exact = of_counts(94, 2, 22, 3)
    found = rates_of_printed(*(np.array([exact[key]]) for key in INPUTS))
    assert found["prevalence"][0] == pytest.approx(100 * 96 / 121)
    assert {key: found[key][0] for key in exact} == pytest.approx(exact)


@pytest.mark.parametrize(
    ("dataset", "smallest"),
    [
        ("zipper", (94, 2, 22, 3)),
        ("hazelnut", (52, 4, 29, 3)),
        ("metal_nut", (74, 1, 16, 1)),
        ("rope", (55, 0, 46, 6)),
    ],
)
def test_four_rows_are_eighty_per_cent_of_the_labelled_images(audit, dataset, smallest):
    row = audit[dataset]
    assert tuple(row.matrices[0]) == tuple(row.pool) == smallest
    assert row.official is None
    factors = row.matrices.sum(1) // sum(smallest)
    assert np.array_equal(np.outer(factors, smallest), row.matrices)
    assert row.fits_table_8.all()


def test_ucsds_row_has_eighty_per_cent_of_the_test_frames(audit):
    row = audit["ucsd_ped1"]
    assert row.pool.sum() == 0.8 * 7200 and row.pool[:2].sum() == 1006
    assert np.array_equal(row.pool, row.with_table_8[0])


@pytest.mark.parametrize(
    ("dataset", "fits", "with_table_8", "closest"),
    [
        ("brats2021", 206, (3064, 640), (3066, 640)),
        ("oct2017", 14_055, None, (650, 218)),
        ("pneumoniamnist", 106, (395, 234), (395, 234)),
    ],
)
def test_three_rows_are_neither_the_official_test_set_nor_eighty_per_cent(
    audit, dataset, fits, with_table_8, closest
):
    row = audit[dataset]
    assert len(row.matrices) == fits
    assert row.official is None and row.pool is None
    both = row.with_table_8
    assert (tuple(both[0].reshape(2, 2).sum(1)) if len(both) else None) == with_table_8
    assert tuple(row.closest_to_official.reshape(2, 2).sum(1)) == closest


def test_every_column_follows_from_the_rates_but_octs_auroc(audit):
    off = {
        (r.dataset, c.metric) for r in audit.values() for c in r.checks.values() if not c.consistent
    }
    assert off == {("oct2017", "auroc")}
    check = audit["oct2017"].checks["auroc"]
    assert check.recomputed == pytest.approx((92.77 + 99.08) / 2)
    assert check.difference == pytest.approx(0.145)


def test_a_wrong_column_is_found():
    printed = {n.metric: n.value for n in paper_numbers("Table 6") if n.dataset == "zipper"}
    for metric in RECOMPUTED:
        checks = check_row(printed | {metric: printed[metric] + 0.05})
        assert [m for m, check in checks.items() if not check.consistent] == [metric]
        assert len(fitting_matrices(printed | {metric: printed[metric] + 0.05}, 391)) == 0


counts = st.integers(1, 60)


@given(counts, st.integers(0, 60), st.integers(0, 60), counts)
def test_the_matrix_behind_a_row_is_always_found(tp, fn, tn, fp):
    assume(fn + tn > 0)  # else MCC is undefined
    printed = {key: round(value, 2) for key, value in of_counts(tp, fn, tn, fp).items()}
    found = fitting_matrices(printed, tp + fn + tn + fp)
    assert [tp, fn, tn, fp] in found.tolist()
    for matrix in found.tolist():
        values = of_counts(*matrix)
        assert all(abs(values[key] - printed[key]) < 0.00501 for key in (*INPUTS, *RECOMPUTED))
    assert classes_fit(
        {**printed, "auroc": printed["balanced_accuracy"]}, np.array([[tp + fn, tn + fp]])
    )


def test_the_search_finds_what_trying_everything_finds():
    printed = {"tpr": 66.67, "tnr": 75.0, "precision": 66.67, "fpr": 25.0}
    exact = of_counts(2, 1, 3, 1)
    printed |= {key: round(exact[key], 2) for key in RECOMPUTED}
    grid = np.stack(np.meshgrid(*[np.arange(13)] * 4), axis=-1).reshape(-1, 4)
    grid = grid[(grid.sum(1) <= 14) & (grid[:, 0] > 0) & (grid[:, 2] + grid[:, 3] > 0)]
    grid = grid[grid[:, 1] + grid[:, 2] > 0]
    values = percentages(grid)
    fits = np.all([np.abs(values[key] - value) <= 0.005 for key, value in printed.items()], axis=0)
    assert sorted(fitting_matrices(printed, 14).tolist()) == sorted(grid[fits].tolist())
    assert fits.sum() == 2


def test_false_alarms_may_be_none():
    exact = {key: round(value, 2) for key, value in of_counts(9, 1, 20, 0).items()}
    assert [9, 1, 20, 0] in fitting_matrices(exact, 30).tolist()


def test_sizes_of_the_releases_agree_with_the_paper():
    sizes = {n.dataset: n.value for n in paper_numbers("Section 4.1")}
    assert list(sizes) == list(LABELLED)
    assert {name for name, size in sizes.items() if LABELLED[name].n_images != size} == {"oct2017"}
    for labelled in LABELLED.values():
        assert sum(labelled.validation) == labelled.n_validation
        assert labelled.test is None or sum(labelled.test) == labelled.n_test
    assert DEFAULT_TEST_FRACTION["paper"] == 0.8


def test_a_row_that_nothing_fits_says_so(audit):
    row = audit["zipper"]
    nothing = RowAudit(row.dataset, row.printed, row.checks, row.prevalence, row.matrices[:0])
    assert nothing.official is None and nothing.pool is None and nothing.closest_to_official is None
    assert len(nothing.with_table_8) == 0
