"""Training in several processes: two give what one gives, a killed one is told, what it did is not lost."""

import json
import os
import signal
import threading
import time

import pandas as pd
import psutil
import pytest
from datasets import Dataset, Features, Image, List, Value
from training import build_rows, same, weights

from studylib import launch, training
from studylib.artefacts import save_rows
from studylib.errors import StudyError
from studylib.params import load_params
from studylib.runs import MANIFEST, Run, Stage
from studylib.work import Work

HARDWARE = {"nodes": 1, "gpus": 2, "memory_gib": 80, "tflops": 1, "utilisation": 0.5, "generation": 0.5, "disk_tib": 1}
LAUNCH = {"sharding": "fsdp2", "gradient_checkpointing": True, "rollouts": "decoded", "engine_memory": 0.3}
SIZES = {
    "sft": {"batch_size": 4, "micro_batch": 1, "epochs": 2, "lr": 3e-3},
    "rl": {"prompts_per_step": 4, "mini_batches": 2, "micro_batch": 4, "rollouts": 4, "steps": 2, "checkpoint_every": 1,
           "max_new_tokens": 10, "lr": 1e-3},
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    rows = [{**row, "pass_rate": 0.0} for row in build_rows(8)]
    features = Dataset.from_list([{**row, "images": []} for row in rows]).features
    save_rows(
        Dataset.from_list(
            rows, features=Features({**features, "images": List(Image()), "choices": List(Value("string"))})
        ),
        path,
    )
    return Run(path, {})


def stage_of(tiny_base, data, folder, kind, said=None):
    """A training stage at work, as the schedule makes it, and its params."""
    sizes = {f"{section}.{key}": value for section, told in SIZES.items() for key, value in told.items()}
    asked = {"model.path": str(tiny_base), "hardware": HARDWARE, "launch": LAUNCH, **sizes}
    params = load_params("smoke", asked)
    told = {
        "sft": params.sft.model_dump(),
        "rl": params.rl.model_dump(),
        "interleaved": {"weight": 1.0, "everywhere": False},
    }
    (data.path / MANIFEST).write_text(json.dumps({"files": {}, "kept": []}))
    folder.mkdir()
    work = Work(
        Stage(kind, kind, told, {}, (), 1), folder / "work", {"data": data}, (said if said is not None else []).append
    )
    work.path.mkdir()
    return work, params


@pytest.mark.parametrize("kind", ["sft", "grpo", "interleaved"])
def test_two_processes_train_as_one_does(tiny_base, data, tmp_path, kind):
    one, params = stage_of(tiny_base, data, tmp_path / "one", kind)
    getattr(training, kind)(one, params)
    said = []
    two, params = stage_of(tiny_base, data, tmp_path / "two", kind, said)
    launch.launch(two, params)
    assert two.facts["distributed"] == "MULTI_CPU" and two.facts["processes"] == 2 and one.facts["processes"] == 1
    assert two.facts["checkpoints"] == one.facts["checkpoints"] and any(
        ": SFT step" in s or ": GRPO step" in s for s in said
    )
    logs = [pd.read_json(w.path / "log.jsonl", lines=True) for w in (one, two)]
    for column in ("loss", "grad_norm", "tokens"):
        pd.testing.assert_series_equal(logs[0][column], logs[1][column], rtol=1e-3, atol=1e-5)
    last = one.facts["checkpoints"][-1]
    assert same(weights(one.path / last), weights(two.path / last), tolerance=1e-4)
    assert not (two.path / "resume").exists()
