"""Each test file looks at the exercise that it is named after: yours, or with --solutions ours."""

import importlib.util
from pathlib import Path

import pytest

TEACH = Path(__file__).parents[1]


def pytest_addoption(parser):
    parser.addoption("--solutions", action="store_true", help="look at teach/solutions in place of teach/exercises")


@pytest.fixture
def exercise(request):
    """The module that the reader fills in."""
    folder = "solutions" if request.config.getoption("--solutions") else "exercises"
    name = request.path.stem.removeprefix("test_")
    spec = importlib.util.spec_from_file_location(f"{folder}.{name}", TEACH / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
