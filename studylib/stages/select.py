"""The choice of a checkpoint on validation."""

import json
from pathlib import Path

import pandas as pd

from studylib.engine.models import base_path
from studylib.params.load import Params
from studylib.stages.grade import grade_responses
from studylib.stages.sample import sample_responses
from studylib.store.files import checkpoints, load_rows, write_table
from studylib.store.store import Work


def select_prompt(work: Work, params: Params) -> None:
    """`selection.json`: the prompt with which the base is best on validation (the first of equals)."""
    prompts, accuracy = work.stage.params["prompts"], {}
    for n, prompt in enumerate(prompts):
        grades = pd.read_parquet(work.inputs[str(n)].path / "grades.parquet")
        accuracy[prompt] = round(float((grades["outcome"] == "correct").mean()), 4)
    selection = {"prompt": max(prompts, key=accuracy.get), "accuracy": accuracy}
    (work.path / "selection.json").write_text(json.dumps(selection, indent=1))
    work.facts |= selection


def select(work: Work, params: Params) -> None:
    """`selection.json`: the checkpoint with the best validation accuracy (the earliest of equals), and
    `validation.parquet` with every response that this rests on."""
    from studylib.train.rewards import ACCURACY, FORMAT, well_formed

    names = checkpoints(work.inputs["model"]) if "model" in work.inputs else ["base"]

    def make(name: str, path: Path) -> None:
        model = work.inputs["model"].path / name if "model" in work.inputs else base_path(params)
        responses = sample_responses(work, params, model, load_rows(work.inputs["questions"]), None)
        graded, _ = grade_responses(responses, work, params)
        reward = ACCURACY * (graded["outcome"] == "correct") + FORMAT * responses["text"].map(well_formed)
        write_table(responses.assign(checkpoint=name, outcome=graded["outcome"], reward=reward), path)
        work.progress(names.index(name) + 1, len(names), "checkpoints validated")

    parts = work.shared(names, make)
    table = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
    accuracy = (table["outcome"] == "correct").groupby(table["checkpoint"], sort=False).mean()
    best = accuracy.index[accuracy.argmax()]
    write_table(table, work.path / "validation.parquet")
    selection = {
        "checkpoint": best,
        "accuracy": {name: round(float(value), 4) for name, value in accuracy.items()},
    }
    (work.path / "selection.json").write_text(json.dumps(selection, indent=1))
    work.facts |= {"tokens": int(table["tokens"].sum()), **selection}
