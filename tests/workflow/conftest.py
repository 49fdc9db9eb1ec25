"""The tiny workflow, run once for all tests."""

import pytest
from workspace import Workspace


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The tiny configuration, run to its end."""
    workspace = Workspace(tmp_path_factory.mktemp("finished"))
    run = workspace.run()
    assert run.returncode == 0, run.text
    return workspace
