import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from result_tree import Arm, make_dataset, make_method

ARMS = (
    Arm("dual", shift=2.5, attempts=2, epochs=4, trials=2, maps=True),
    Arm("pca", "pca", shift=1.5, notes=("interpretation",)),
    Arm("pixel_std", "pixel_std", shift=0.4),
)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result tree: `brick` with masks, `faces` without, three methods on each."""
    root = tmp_path_factory.mktemp("pages") / "results"
    for i, name in enumerate(("brick", "faces")):
        pictures = make_dataset(root / name, masked=i == 0, note="synthetic <defects>", seed=i)
        for arm in ARMS:
            make_method(root / name / arm.name, arm, pictures, seed=i)
    return root


@pytest.fixture(scope="session")
def browser() -> Iterator["webdriver.Chrome"]:  # type: ignore[name-defined]  # noqa: F821
    """Chromium without a window."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    program, server = next(filter(None, found), None), shutil.which("chromedriver")
    if program is None or server is None:
        pytest.skip("Chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(server))
    yield driver
    driver.quit()
