"""The committed chapters, executed again on the committed reference, show the same tables."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from studylib.paths import ROOT

EXECUTED = sorted((ROOT / "outputs").glob("*/chapters/*.ipynb"))


@pytest.mark.slow
@pytest.mark.skipif(not EXECUTED, reason="no executed chapter is committed")
def test_the_chapters_read_again_show_the_tables_that_they_were_committed_with(tmp_path):
    """nbval compares the output of every cell that is tagged nbval-check-output: the tables."""
    asked = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-cwd", str(tmp_path), "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = {"cwd": ROOT / "notebooks", "env": environment, "stdout": subprocess.PIPE, "text": True}
    halves = [subprocess.Popen([*asked, *map(str, EXECUTED[i::2])], **started) for i in (0, 1)]
    said = [half.communicate()[0] for half in halves]
    assert [half.returncode for half in halves] == [0, 0], "\n".join(text[-4000:] for text in said)
