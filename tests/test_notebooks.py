"""The committed chapters, executed again on the committed reference, show the same tables."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from studylib.provenance import ROOT

EXECUTED = sorted((ROOT / "outputs").glob("*/chapters/*.ipynb"))


@pytest.mark.skipif(not EXECUTED, reason="no executed chapter is committed")
def test_the_chapters_read_again_show_the_tables_that_they_were_committed_with(tmp_path):
    """nbval compares the output of every cell that is tagged nbval-check-output: the tables."""
    asked = [sys.executable, "-m", "pytest", "--nbval-lax", "-p", "no:cacheprovider", *map(str, EXECUTED)]
    environment = {**os.environ, "STUDY_READ": "1", "STUDY_TABLES": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(asked, cwd=ROOT / "notebooks", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
