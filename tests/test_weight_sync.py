"""The engine that makes the rollouts has the trainer's weights once they are handed over."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@pytest.mark.parametrize("kind", ["full", "lora", "progressive"])
def test_after_a_step_the_engines_log_probs_equal_the_trainers(tiny_base, tmp_path, kind):
    if find_spec("vllm") is None:
        pytest.skip("vllm is not installed: the weight sync is tested where it is (make engine)")
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    command = [sys.executable, str(TESTS / "engine_sync.py"), str(tiny_base), str(tmp_path), kind]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["steps"] == 4
    assert told["at the start"] < 1e-3
    assert told["after training, not synced"] > 5e-3  # there was something to hand over
    assert told["after training, synced"] < 1e-3
    # As the log has it, step by step: a random model gives 1.5 % to tokens that are never sampled, the engine nothing.
    assert len(told["gaps"]) == 2 and max(told["gaps"]) < 0.03
