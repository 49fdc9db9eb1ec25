"""Methods of a configuration: overrides, and which stages they share."""

from dataclasses import replace

import pytest

from dualad.design.experiments import (
    check_semi_supervised,
    network_owner,
    resolve_batch_search,
    resolve_methods,
    resolve_sweeps,
    stage_owner,
)
from dualad.design.families import FAMILIES, SEMI_SUPERVISED
from dualad.design.parameters import LARGEST_SEED, DualAutoencoderParams
from dualad.errors import DualadError

DUAL = {"family": "dual_autoencoder"}
METHODS = {
    "dual": DUAL,
    "given": {**DUAL, "dropout": 0.1},
    "padim": {"family": "padim"},
    "pca": {"family": "pca"},
    "own": {"family": "external"},
}


def test_a_method_overrides_the_configurations_defaults() -> None:
    methods = resolve_methods(
        {"dual": DUAL, "short": {**DUAL, "epochs": 3, "search": {"trials": 2}}},
        {"dual_autoencoder": {"epochs": 7, "search": {"epochs": 5}}},
    )
    dual, short = methods["dual"].params, methods["short"].params
    assert isinstance(dual, DualAutoencoderParams) and isinstance(short, DualAutoencoderParams)
    assert (dual.epochs, dual.search.epochs, dual.search.trials) == (7, 5, 20)
    assert (short.epochs, short.search.epochs, short.search.trials) == (3, 5, 2)


def test_lists_become_tuples() -> None:
    params = resolve_methods({"m": {**DUAL, "encoders": ["image"]}})["m"].params
    assert isinstance(params, DualAutoencoderParams)
    assert params.encoders == ("image",)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"family": "dual"}, r"methods\.m\.family: unknown family 'dual'; choose one of"),
        ({}, r"methods\.m\.family: unknown family None"),
        ({**DUAL, "epoch": 3}, r"methods\.m\.epoch: unknown key; known here: .*epochs"),
        ({**DUAL, "search": {"trial": 3}}, r"methods\.m\.search\.trial: unknown key"),
        ({**DUAL, "search": 3}, r"methods\.m\.search: expected a mapping, got 3"),
    ],
)
def test_mistakes_name_the_key(entry: dict[str, object], message: str) -> None:
    with pytest.raises(DualadError, match=message):
        resolve_methods({"m": entry})


@pytest.mark.parametrize(
    ("override", "owners"),
    [
        ({"threshold": {"rule": "quantile"}}, ("dual", "dual", "dual")),
        ({"calibrator": "isotonic"}, ("dual", "dual", "dual")),
        ({"score": "blurred_z"}, ("dual", "dual", "m")),
        ({"mc": {"samples": 3}}, ("dual", "dual", "m")),
        ({"epochs": 500, "early_stopping": False, "attempts": 1}, ("dual", "m", "m")),
        ({"dropout": 0.2}, ("dual", "m", "m")),
        ({"batch_size": 128}, ("m", "m", "m")),
        ({"seed": 42}, ("m", "m", "m")),
        ({"encoders": ["image"]}, ("m", "m", "m")),
        ({"centering": True}, ("m", "m", "m")),
    ],
)
def test_stages_that_an_override_does_not_touch_are_shared(
    override: dict[str, object], owners: tuple[str, ...]
) -> None:
    methods = resolve_methods({"dual": DUAL, "m": {**DUAL, **override}})
    found = tuple(stage_owner(methods, "m", stage) for stage in ("search", "train", "score"))
    assert found == owners


@pytest.mark.parametrize(
    ("first", "second", "owner"),
    [(["x"], None, "b"), (None, ["x"], "a"), (["x"], ["x", "y"], "b"), (["x"], ["y"], "a")],
)
def test_who_computes_a_shared_stage_runs_wherever_it_is_needed(
    first: list[str] | None, second: list[str] | None, owner: str
) -> None:
    methods = resolve_methods(
        {
            "a": {**DUAL, "datasets": first},
            "b": {**DUAL, "datasets": second, "calibrator": "isotonic"},
        }
    )
    assert {stage_owner(methods, name, "train") for name in methods} == {owner}


def test_fixed_dropout_rates_do_not_depend_on_the_search() -> None:
    methods = resolve_methods(
        {
            "a": {**DUAL, "dropout": 0.2},
            "b": {**DUAL, "dropout": 0.2, "search": {"trials": 3}},
        }
    )
    assert stage_owner(methods, "b", "train") == "a"


def test_repeats_differ_in_their_seed_alone() -> None:
    methods = resolve_methods({"dual": {**DUAL, "repeats": 3}, "pca": {"family": "pca"}})
    assert list(methods) == ["dual", "dual@1", "dual@2", "pca"]
    assert {method.base for method in methods.values()} == {"dual", "pca"}
    first, again = methods["dual"].params, methods["dual@2"].params
    assert (first.repeat, again.repeat) == (0, 2)
    assert replace(again, repeat=0) == first


def test_a_repeat_shares_the_stages_of_the_same_repeat() -> None:
    methods = resolve_methods(
        {
            "dual": {**DUAL, "repeats": 2},
            "quantile": {**DUAL, "repeats": 2, "threshold": {"rule": "quantile"}},
        }
    )
    assert stage_owner(methods, "quantile@1", "score") == "dual@1"
    assert stage_owner(methods, "dual@1", "search") == "dual@1"


def test_a_method_may_run_on_some_datasets_only() -> None:
    methods = resolve_methods({"dual": {**DUAL, "datasets": ["a"]}}, datasets=["a", "b"])
    assert methods["dual"].runs_on("a") and not methods["dual"].runs_on("b")
    with pytest.raises(DualadError, match=r"methods\.dual\.datasets: no dataset 'c'; choose"):
        resolve_methods({"dual": {**DUAL, "datasets": ["c"]}}, datasets=["a", "b"])


def test_a_sweep_sets_one_key() -> None:
    methods = resolve_methods({"dual": DUAL})
    entry = {"method": "dual", "values": [0.0, 0.5], "overrides": {"attempts": 1}}
    dropout = resolve_sweeps({"s": {**entry, "factor": "dropout"}}, methods, ["a", "b"])["s"]
    assert dropout.datasets == ("a", "b")
    assert {label: p.params.dropout for label, p in dropout.points.items()} == {  # type: ignore[attr-defined]
        "0.0": 0.0,
        "0.5": 0.5,
    }
    assert all(point.params.attempts == 1 for point in dropout.points.values())  # type: ignore[attr-defined]
    assert not dropout.needs_search
    nested = resolve_sweeps({"s": {**entry, "factor": "mc.samples", "values": [5]}}, methods, "a")
    assert nested["s"].points["5"].params.mc.samples == 5  # type: ignore[attr-defined]
    assert nested["s"].needs_search


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "duel"}, r"sweeps\.s\.method: no method 'duel'; choose one of dual"),
        ({"factor": "dropuot"}, r"sweeps\.s\.dropuot: unknown key"),
        ({"datasets": ["c"]}, r"sweeps\.s\.datasets: no dataset 'c'"),
        ({"overrides": {"epoch": 1}}, r"sweeps\.s\.overrides\.epoch: unknown key"),
        ({"values": [1, "1"]}, r"sweeps\.s\.values: two values are called 1; drop one"),
        ({"method": "padim", "factor": "seed"}, r"sweeps\.s\.method: padim sees colour images"),
        ({"factor": "search.trials", "values": [3]}, r"sweeps\.s: keys of `search` have no effect"),
        ({"factor": "encoders", "values": [["image"]]}, r"sweeps\.s: .*another number of layers"),
        (
            {"method": "given", "overrides": {"dropout": "tuned"}, "factor": "epochs"},
            r"sweeps\.s: .*the search of given found, which has none",
        ),
    ],
)
def test_mistakes_in_a_sweep_name_the_key(change: dict[str, object], message: str) -> None:
    entry = {"method": "dual", "factor": "dropout", "values": [0.1], **change}
    with pytest.raises(DualadError, match=message):
        resolve_sweeps({"s": entry}, resolve_methods(METHODS), ["a"])


def test_a_sweep_with_a_papers_name_varies_that_key() -> None:
    entry = {"method": "dual", "factor": "dropout", "values": [0.1]}
    with pytest.raises(DualadError, match=r"sweeps\.seed\.factor: .*varies seed"):
        resolve_sweeps({"seed": entry}, resolve_methods(METHODS), ["a"])


def test_a_value_is_a_folders_name_and_never_leads_elsewhere() -> None:
    values = ["/data/w.h5", "../up", "..", [0.1, 0.2]]
    entry = {"method": "own", "factor": "options", "values": values}
    points = resolve_sweeps({"s": entry}, resolve_methods(METHODS), ["a"])["s"].points
    assert list(points) == ["_data_w.h5", "_up", "_", "0.1-0.2"]


def test_a_sweep_of_the_learning_rate_keeps_the_methods_search() -> None:
    entry = {"method": "dual", "factor": "learning_rate", "values": [0.1]}
    assert resolve_sweeps({"s": entry}, resolve_methods(METHODS), ["a"])["s"].needs_search


def test_algorithm_1_needs_a_batch_size() -> None:
    with pytest.raises(DualadError, match=r"batch_search\.method: pca has no batch size"):
        resolve_batch_search({"method": "pca"}, resolve_methods(METHODS), ["a"])


def test_repeats_go_on_from_the_methods_own_number() -> None:
    methods = resolve_methods({"dual": {**DUAL, "repeat": 2, "repeats": 3}})
    assert [method.params.repeat for method in methods.values()] == [2, 3, 4]


def test_algorithm_1_is_optional() -> None:
    methods = resolve_methods({"dual": DUAL})
    assert resolve_batch_search(None, methods, ["a"]) is None
    design = resolve_batch_search({"method": "dual", "overrides": {"epochs": 3}}, methods, ["a"])
    assert design is not None and design.needs_search
    assert (design.epsilon, design.datasets, design.base.params.epochs) == (10, ("a",), 3)  # type: ignore[attr-defined]


def test_a_baselines_keys_belong_to_all_of_its_stages() -> None:
    methods = resolve_methods(
        {"a": {"family": "padim"}, "b": {"family": "padim", "threshold": {"rule": "youden"}}}
    )
    assert methods["a"].input_size == 224
    assert "weights" in methods["a"].stage_params("train")
    assert stage_owner(methods, "b", "score") == "a"


def test_every_family_has_a_place_of_its_own() -> None:
    places = [(family.module, family.class_name) for family in FAMILIES.values()]
    assert len(set(places)) == len(places)
    for family in FAMILIES.values():
        assert family.summary and family.model_files
        nobodys = family.kind == SEMI_SUPERVISED or family.category in ("control", "own")
        assert bool(family.publication) != nobodys


NINE = [0.1] * 9


@pytest.mark.parametrize("dropout", [NINE[:8], [*NINE, 0.1], [0.1]])
def test_rates_for_another_number_of_layers_are_refused_at_once(dropout: list[float]) -> None:
    message = f"dropout has {len(dropout)} rates for 9 dropout layers "
    own = {"m": {**DUAL, "dropout": dropout}}
    defaults = {"dual_autoencoder": {"dropout": dropout}}
    with pytest.raises(DualadError, match=rf"^methods\.m: {message}\(image_0, .*give one"):
        resolve_methods(own)
    with pytest.raises(DualadError, match=rf"^defaults\.dual_autoencoder: {message}"):
        resolve_methods({"m": DUAL}, defaults)
    # Correcting the defaults alone would not help.
    with pytest.raises(DualadError, match=rf"^methods\.m: {message}"):
        resolve_methods(own, defaults)
    methods = resolve_methods({"m": DUAL})
    sweep = {"method": "m", "factor": "dropout", "values": [0.1, dropout]}
    with pytest.raises(DualadError, match=r"sweeps\.s\.values, .*9 dropout layers"):
        resolve_sweeps({"s": sweep}, methods, ["d"])
    search = {"method": "m", "overrides": {"dropout": dropout}}
    with pytest.raises(DualadError, match=r"batch_search\.overrides: dropout .*9 dropout layers"):
        resolve_batch_search(search, methods, ["d"])


def test_rates_follow_the_layers() -> None:
    narrow = {**DUAL, "encoders": ["pixel"], "encoder_widths": [8, 4], "decoder_widths": [8]}
    params = resolve_methods({"m": {**narrow, "dropout": [0.1, 0.2]}})["m"].params
    assert isinstance(params, DualAutoencoderParams)
    assert params.dropout_names == ("pixel_0", "decoder_0")
    assert resolve_methods({"m": {**DUAL, "dropout": NINE}})


@pytest.mark.parametrize("value", [{}, {"value": None}, {"value": float("nan")}])
def test_a_fixed_threshold_has_a_value(value: dict[str, float | None]) -> None:
    entry = {"family": "pca", "threshold": {"rule": "fixed", **value}}
    with pytest.raises(DualadError, match=r"methods\.m: threshold\.value = (None|nan) is no"):
        resolve_methods({"m": entry})
    entry["threshold"]["value"] = 2
    assert resolve_methods({"m": entry})["m"].params.threshold.value == 2


def test_attention_has_no_more_heads_than_a_token_is_long() -> None:
    with pytest.raises(DualadError, match=r"methods\.m: heads = 9 is more than width = 8"):
        resolve_methods({"m": {"family": "utrad", "width": 8, "heads": 9}})


def test_a_seed_leaves_room_for_repeats_below_what_numpy_takes() -> None:
    largest = {"family": "pca", "seed": LARGEST_SEED, "repeat": 1_000_000}
    params = resolve_methods({"m": largest})["m"].params
    assert params.seed + 1000 * params.repeat + 2 < 2**32  # type: ignore[operator]


HYBRID = {"family": "dual_hybrid"}
PIXELS = {"family": "pixels_supervised"}


def checked(methods: dict[str, dict[str, object]]) -> None:
    check_semi_supervised(resolve_methods(methods, datasets=["a", "b"]))


def test_a_hybrid_uses_the_network_of_a_method() -> None:
    methods = resolve_methods(
        {"dual_plus": {**DUAL, "repeats": 2}, "hybrid": {**HYBRID, "repeats": 2}, "pixels": PIXELS}
    )
    check_semi_supervised(methods)
    assert [network_owner(methods, name) for name in methods] == [
        *(None, None, "dual_plus", "dual_plus@1", None)
    ]


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (
            {"dual": DUAL, "hybrid": HYBRID, "pixels": PIXELS},
            r"^methods\.hybrid\.network: no method 'dual_plus' .*; choose one of dual$",
        ),
        (
            {"dual_plus": {"family": "pca"}, "hybrid": HYBRID, "pixels": PIXELS},
            r"^methods\.hybrid\.network: .*; add one to `methods`$",
        ),
        (
            {"dual_plus": DUAL, "hybrid": {**HYBRID, "repeats": 2}, "pixels": PIXELS},
            r"^methods\.hybrid\.repeats: .*; give dual_plus at least as many repeats",
        ),
        (
            {"dual_plus": {**DUAL, "datasets": ["a"]}, "hybrid": HYBRID, "pixels": PIXELS},
            r"^methods\.hybrid\.datasets: dual_plus, whose network it uses, does not run on all",
        ),
        (
            {"dual_plus": DUAL, "hybrid": HYBRID},
            r"^methods\.hybrid: .*; add `pixels_supervised: \{family: pixels_supervised\}`",
        ),
        (
            {"dual_plus": DUAL, "hybrid": HYBRID, "pixels": {**PIXELS, "datasets": ["b"]}},
            r"^methods\.hybrid: .*add .* for the same datasets",
        ),
    ],
)
def test_a_hybrid_without_its_network_or_its_control_is_refused(
    methods: dict[str, dict[str, object]], message: str
) -> None:
    with pytest.raises(DualadError, match=message):
        checked(methods)


def test_the_control_of_labels_stands_alone_too() -> None:
    checked({"pixels": PIXELS})
    checked({"dual_plus": DUAL, "hybrid": {**HYBRID, "datasets": ["b"]}, "pixels": PIXELS})


def test_a_study_of_a_hybrid_is_refused() -> None:
    methods = resolve_methods({"dual_plus": DUAL, "hybrid": HYBRID, "pixels": PIXELS})
    sweep = {"method": "hybrid", "factor": "folds", "values": [3, 5]}
    with pytest.raises(DualadError, match=r"^sweeps\.s\.method: hybrid uses the network of anoth"):
        resolve_sweeps({"s": sweep}, methods, ["a"])
    assert resolve_sweeps({"s": {**sweep, "method": "pixels"}}, methods, ["a"])


def test_semi_supervised_families_are_marked_and_no_others() -> None:
    marked = [name for name, family in FAMILIES.items() if SEMI_SUPERVISED in family.notes]
    assert marked == ["dual_hybrid", "pixels_supervised"]
    assert FAMILIES["adpr"].notes == ("interpretation",) and not FAMILIES["padim"].notes
