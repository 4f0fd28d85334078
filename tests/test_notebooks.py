"""The committed chapters, executed again on the committed reference, show the same tables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from studylib.paths import ROOT


def code(path) -> list[str]:
    """The code of a notebook, but for the cell that papermill's parameters go into."""
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    return ["".join(cell["source"]) for cell in cells if "parameters" not in cell["metadata"].get("tags", [])]


# A chapter that has changed since shows its tables when it is next executed on results of its own.
COMMITTED = sorted((ROOT / "outputs").glob("*/chapters/*.ipynb"))
EXECUTED = [path for path in COMMITTED if code(path) == code(ROOT / "notebooks" / path.name)]


@pytest.mark.slow
@pytest.mark.skipif(not EXECUTED, reason="no chapter is committed as executed with the code that it has now")
def test_the_chapters_read_again_show_the_tables_that_they_were_committed_with(tmp_path):
    """nbval compares the output of every cell that is tagged nbval-check-output: the tables."""
    asked = [sys.executable, "-m", "pytest", "--nbval-lax", "-p", "no:cacheprovider"]
    folder = tmp_path / "chapters"  # nbval's kernels work where the notebook is, and chapters keep their tables there
    folder.mkdir()
    copies = [shutil.copy(path, folder / f"{path.parts[-3]}-{path.name}") for path in EXECUTED]
    started = {"env": {**os.environ, "PYTHONPATH": str(ROOT)}, "stdout": subprocess.PIPE, "text": True}
    halves = [subprocess.Popen([*asked, *map(str, copies[i::2])], cwd=ROOT, **started) for i in (0, 1) if copies[i::2]]
    said = [half.communicate()[0] for half in halves]
    assert not any(half.returncode for half in halves), "\n".join(text[-4000:] for text in said)
