"""Responses of a model to the questions of a split."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from studylib.params.load import Params
from studylib.store.files import load_rows, model_of, write_table
from studylib.store.store import Helped, Work

if TYPE_CHECKING:
    from datasets import Dataset

CHUNK = 4  # batches a part of a sampling stage: what a kill costs, and what an idle process can take over


def sample(work: Work, params: Params) -> None:
    """`responses.parquet`: samples of one model on one split, saved as they come, or every few batches (hf)."""
    if params.engine.name == "vllm":
        table = _as_they_come(work, params)
    else:
        table = _in_parts(work, params)
    write_table(table, work.path / "responses.parquet")
    work.facts |= {"tokens": int(table["tokens"].sum()), "responses": len(table)}


def _as_they_come(work: Work, params: Params) -> pd.DataFrame:
    """By engines that run for the whole stage; a kill costs the answers that are in flight."""
    if work.helping:
        raise Helped(False)
    from studylib.engine.generate import Sampling, as_finished

    spec, model = work.stage.params, model_of(work.inputs, params)
    rows = _prompted(work, load_rows(work.inputs["questions"]))
    kept = work.parts / "responses.jsonl"
    kept.parent.mkdir(exist_ok=True)
    known = _whole_lines(kept)
    missing = [place for place in range(len(rows)) if place not in known]
    settings = (spec["instruct"], spec["samples"], Sampling(**spec["sampling"]), spec["seed"])
    describe = _describer(work, model)
    if missing:
        with kept.open("a") as file:
            for place, completions in as_finished(model, rows, missing, *settings, params.engine.batch_size):
                known[place] = describe(rows[place], completions)
                file.write(json.dumps([place, known[place]]) + "\n")
                file.flush()
                work.progress(len(known) * spec["samples"], len(rows) * spec["samples"], "responses")
    return pd.DataFrame([record for place in range(len(rows)) for record in known[place]])


def _whole_lines(path: Path) -> dict[int, list[dict]]:
    """What is in the file, by place; a line that a kill has cut is removed from it."""
    if not path.exists():
        return {}
    lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    path.write_text("".join(lines))
    return dict(json.loads(line) for line in lines)


def _in_parts(work: Work, params: Params) -> pd.DataFrame:
    """By our own loop, in parts that other processes can take."""
    spec, rows = work.stage.params, load_rows(work.inputs["questions"])
    size = max(1, CHUNK * params.engine.batch_size // spec["samples"])
    total = len(rows) * spec["samples"]

    def make(name: str, path: Path) -> None:
        start = int(name)
        chunk = rows.select(range(start, min(start + size, len(rows))))

        def progress(done: int, _of: int) -> None:
            work.progress(start * spec["samples"] + done, total, "responses")

        write_table(sample_responses(work, params, model_of(work.inputs, params), chunk, progress), path)

    parts = work.shared([f"{start:06d}" for start in range(0, len(rows), size)], make)
    return pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)


def sample_responses(work, params, model: Path | str, rows: "Dataset", progress) -> pd.DataFrame:
    from studylib.engine.generate import Sampling, generate

    spec, rows = work.stage.params, _prompted(work, rows)
    answers = generate(
        model,
        rows,
        instruct=spec["instruct"],
        samples=spec["samples"],
        sampling=Sampling(**spec["sampling"]),
        seed=spec["seed"],
        engine=params.engine.name,
        batch_size=params.engine.batch_size,
        progress=progress,
    )
    describe = _describer(work, model)
    return pd.DataFrame([record for row, group in zip(rows, answers, strict=True) for record in describe(row, group)])


def _describer(work: Work, model: Path | str) -> Callable[[dict, list], list[dict]]:
    """Makes the records of a question's completions."""
    from studylib.engine.models import load_processor
    from studylib.engine.prompts import prompt_hash

    spec, processor = work.stage.params, load_processor(model)

    def describe(row: dict, completions: list) -> list[dict]:
        shown = prompt_hash(processor, row, spec["instruct"])
        return [
            {
                "benchmark": row["benchmark"],
                "question_id": row["id"],
                "arm": spec["arm"],
                "seed": work.stage.seed or 0,
                "sample": index,
                "prompt_hash": shown,
                "text": completion.text,
                "tokens": completion.tokens,
                "finish_reason": completion.finish_reason,
            }
            for index, completion in enumerate(completions)
        ]

    return describe


def _prompted(work: Work, rows: "Dataset") -> "Dataset":
    """The rows with the stage's prompt below each question, where it has one."""
    prompt = work.stage.params.get("prompt")
    if "prompt" in work.inputs:
        prompt = json.loads((work.inputs["prompt"].path / "selection.json").read_text())["prompt"]
    if not prompt:
        return rows
    questions = [f"{question}\n{prompt}" for question in rows["question"]]
    return rows.remove_columns("question").add_column("question", questions)
