"""Responses of a model to the questions of a split."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from studylib.params.load import Params
from studylib.store.files import load_rows, model_of, write_table
from studylib.store.store import Work

if TYPE_CHECKING:
    from datasets import Dataset

CHUNK = 4  # batches a part of a sampling stage: what a kill costs, and what an idle process can take over


def sample(work: Work, params: Params) -> None:
    """`responses.parquet`: samples of one model on one split, saved every few batches for a resume."""
    asked, rows = work.stage.params, load_rows(work.inputs["questions"])
    size = max(1, CHUNK * params.engine.batch_size // asked["samples"])
    total = len(rows) * asked["samples"]

    def make(name: str, path: Path) -> None:
        start = int(name)
        chunk = rows.select(range(start, min(start + size, len(rows))))

        def progress(done: int, _of: int) -> None:
            work.progress(start * asked["samples"] + done, total, "responses")

        write_table(sample_responses(work, params, model_of(work.inputs, params), chunk, progress), path)

    parts = work.shared([f"{start:06d}" for start in range(0, len(rows), size)], make)
    table = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
    write_table(table, work.path / "responses.parquet")
    work.facts |= {"tokens": int(table["tokens"].sum()), "responses": len(table)}


def sample_responses(work, params, model: Path | str, rows: "Dataset", progress) -> pd.DataFrame:
    from studylib.engine.generate import Sampling, generate
    from studylib.engine.models import load_processor
    from studylib.engine.prompts import prompt_hash

    asked, processor = work.stage.params, load_processor(model)
    rows = _prompted(work, rows)
    answers = generate(
        model,
        rows,
        instruct=asked["instruct"],
        samples=asked["samples"],
        sampling=Sampling(**asked["sampling"]),
        seed=asked["seed"],
        engine=params.engine.name,
        batch_size=params.engine.batch_size,
        progress=progress,
    )
    table = []
    for row, completions in zip(rows, answers, strict=True):
        shown = prompt_hash(processor, row, asked["instruct"])
        for index, completion in enumerate(completions):
            table.append(
                {
                    "benchmark": row["benchmark"],
                    "question_id": row["id"],
                    "arm": asked["arm"],
                    "seed": work.stage.seed or 0,
                    "sample": index,
                    "prompt_hash": shown,
                    "text": completion.text,
                    "tokens": completion.tokens,
                    "finish_reason": completion.finish_reason,
                }
            )
    return pd.DataFrame(table)


def _prompted(work: Work, rows: "Dataset") -> Sequence[Mapping[str, Any]]:
    """The rows with the stage's prompt below each question, where it has one."""
    prompt = work.stage.params.get("prompt")
    if "prompt" in work.inputs:
        prompt = json.loads((work.inputs["prompt"].path / "selection.json").read_text())["prompt"]
    return [{**row, "question": f"{row['question']}\n{prompt}"} for row in rows] if prompt else rows
