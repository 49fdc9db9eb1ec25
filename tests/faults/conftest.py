"""Undisturbed runs, and the figures of the full set."""

from collections.abc import Callable

import pytest
from disturbed import CONTROLS, NETWORK, TARGETS
from workspace import Workspace

FIGURES = pytest.StashKey[list[str]]()


def _undisturbed(factory: pytest.TempPathFactory, config: str) -> Workspace:
    workspace = Workspace(factory.mktemp("undisturbed"), config)
    run = workspace.run("--", *TARGETS)
    assert run.returncode == 0, run.text
    return workspace


@pytest.fixture(scope="session")
def controls(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The configuration without a network, run to its end."""
    return _undisturbed(tmp_path_factory, CONTROLS)


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The configuration with a network, run to its end."""
    return _undisturbed(tmp_path_factory, NETWORK)


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Takes a line for the end of the test run's output."""
    return request.config.stash.setdefault(FIGURES, []).append


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the figures that docs/faults.md holds."""
    for line in config.stash.get(FIGURES, []):
        terminalreporter.write_line(line)
