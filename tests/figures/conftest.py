import pytest
from result_tree import ARMS, Arm, make_dataset, make_method

from dualad.figures.inputs import load_method

SMALL = [
    Arm(
        arm.name,
        arm.family,
        arm.shift,
        attempts=2,
        epochs=6,
        trials=min(arm.trials, 4),
        notes=arm.notes,
        maps=arm.maps,
    )
    for arm in ARMS
    if arm.name in ("dual", "dual_plus", "pixel_only", "mean_image", "pixel_std")
]


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """Two small datasets, the first with masks and a note; their methods' folders."""
    root = tmp_path_factory.mktemp("results")
    files = {}
    for i, name in enumerate(("brick", "faces")):
        note = "synthetic defects" if i == 0 else ""
        pictures = make_dataset(root / name, masked=i == 0, note=note, seed=i)
        files[name] = [make_method(root / name / arm.name, arm, pictures) for arm in SMALL]
    return files


@pytest.fixture(scope="session")
def results(tree):
    """The first dataset's methods, read."""
    return [load_method(folder) for folder in tree["brick"]]
