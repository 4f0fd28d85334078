"""What each kind of stage does: read its inputs, call one module, leave files in its work folder."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from studylib import training
from studylib.artefacts import base_path, checkpoints, load_rows, model_of, plain_rows, save_rows, write_table
from studylib.params import Params
from studylib.work import Work

if TYPE_CHECKING:
    from datasets import Dataset

CHUNK = 4  # batches a part of a sampling stage: what a kill costs, and what an idle process can take over


class Kind(NamedTuple):
    do: Callable[[Work, Params], None]
    code: tuple[str, ...]


def questions(work: Work, params: Params) -> None:
    """The questions of one split: `rows/` with pictures, `questions.parquet` without."""
    from studylib.data import load_questions

    save_rows(load_questions(params, work.stage.params["split"]), work.path)


def traces(work: Work, params: Params) -> None:
    """Text-only questions with one teacher's traces (paper 2.1: s1 and s1.1-R1)."""
    from studylib.data import load_traces

    save_rows(load_traces(params, work.stage.params["manner"]), work.path)


def hub_questions(work: Work, params: Params) -> None:
    """The questions of one split of published datasets, as `questions` leaves them; what was unreadable is a fact."""
    from studylib.hub import load_questions

    rows, facts = load_questions(params, work.stage.params["split"])
    save_rows(rows, work.path)
    work.facts |= {"rows": len(rows), **facts}


def hub_traces(work: Work, params: Params) -> None:
    """The published traces, s1 or s1.1 (paper 2.1)."""
    from studylib.hub import load_traces

    rows, facts = load_traces(params, work.stage.params["manner"])
    save_rows(rows, work.path)
    work.facts |= {"rows": len(rows), **facts}


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

        write_table(_responses(work, params, model_of(work.inputs, params), chunk, progress), path)

    parts = work.shared([f"{start:06d}" for start in range(0, len(rows), size)], make)
    table = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
    write_table(table, work.path / "responses.parquet")
    work.facts |= {"tokens": int(table["tokens"].sum()), "responses": len(table)}


def _responses(work, params, model: Path | str, rows: "Dataset", progress) -> pd.DataFrame:
    from studylib.generate import Sampling, generate
    from studylib.models import load_processor
    from studylib.prompts import prompt_hash

    asked, processor = work.stage.params, load_processor(model)
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


def grade(work: Work, params: Params) -> None:
    """`grades.parquet`, a row a response: extracted answer, outcome, and how it was found."""
    responses = pd.read_parquet(work.inputs["responses"].path / "responses.parquet")
    table, judge = _graded(responses, work, params)
    write_table(table, work.path / "grades.parquet")
    work.facts |= {"judge": judge} if judge else {}
    work.facts |= {"accuracy": round(float((table["outcome"] == "correct").mean()), 4)}


def _graded(responses: pd.DataFrame, work: Work, params: Params) -> tuple[pd.DataFrame, dict]:
    """Grades by the rules; what these leave unparsed by the judge, where the params name one, and its facts."""
    from studylib.grading import grade_many

    known = {row["id"]: row for row in plain_rows(work.inputs["questions"])}
    columns = zip(responses["question_id"], responses["text"], responses["finish_reason"], strict=True)
    rows = [{**known[name], "response": text, "finish_reason": reason} for name, text, reason in columns]
    found, judge = list(grade_many(rows, jobs=_threads())), {}
    if params.judge:
        from studylib.judged import judged

        found, judge = judged(rows, found, params.judge, work.path.parents[1] / "judge")
    grades = pd.DataFrame([g._asdict() for g in found])
    table = responses[["benchmark", "question_id", "arm", "seed", "sample"]].assign(
        extracted=grades["extracted"], outcome=grades["outcome"], how=grades["how"]
    )
    return table, judge


def levels(work: Work, params: Params) -> None:
    """`levels.parquet`: the level of each test question, from the base's set A (paper, Protocol)."""
    from studylib.analysis.difficulty import tag_levels
    from studylib.analysis.scores import join_scores

    responses = pd.read_parquet(work.inputs["responses"].path / "responses.parquet")
    grades = pd.read_parquet(work.inputs["grades"].path / "grades.parquet")
    known = pd.read_parquet(work.inputs["questions"].path / "questions.parquet")
    write_table(tag_levels(join_scores(responses, grades, known)), work.path / "levels.parquet")


def select(work: Work, params: Params) -> None:
    """`selection.json`: the checkpoint with the best validation accuracy (the earliest of equals), and
    `validation.parquet` with every response that this rests on."""
    from studylib.train.rewards import ACCURACY, FORMAT, well_formed

    names = checkpoints(work.inputs["model"]) if "model" in work.inputs else ["base"]

    def make(name: str, path: Path) -> None:
        model = work.inputs["model"].path / name if "model" in work.inputs else base_path(params)
        responses = _responses(work, params, model, load_rows(work.inputs["questions"]), None)
        graded, _ = _graded(responses, work, params)
        reward = ACCURACY * (graded["outcome"] == "correct") + FORMAT * responses["text"].map(well_formed)
        write_table(responses.assign(checkpoint=name, outcome=graded["outcome"], reward=reward), path)
        work.progress(names.index(name) + 1, len(names), "checkpoints validated")

    parts = work.shared(names, make)
    table = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
    accuracy = (table["outcome"] == "correct").groupby(table["checkpoint"], sort=False).mean()
    best = accuracy.index[accuracy.argmax()]
    write_table(table, work.path / "validation.parquet")
    told = {
        "checkpoint": best,
        "accuracy": {name: round(float(value), 4) for name, value in accuracy.items()},
    }
    (work.path / "selection.json").write_text(json.dumps(told, indent=1))
    work.facts |= {"tokens": int(table["tokens"].sum()), **told}


def divergence(work: Work, params: Params) -> None:
    """`tokens.parquet`: KL to the base, token by token, of some test responses (paper 2.3)."""
    from studylib.divergence import token_kl

    responses = pd.read_parquet(work.inputs["responses"].path / "responses.parquet")
    first = responses[responses["sample"] == 0]
    chosen = first.groupby("benchmark", sort=False).head(work.stage.params["questions"]).reset_index(drop=True)
    shown = load_rows(work.inputs["questions"])
    place = {name: i for i, name in enumerate(shown["id"])}
    asked = [shown[place[name]] for name in chosen["question_id"]]
    table = token_kl(model_of(work.inputs, params), base_path(params), asked, list(chosen["text"]))
    write_table(table.assign(question_id=table["response"].map(chosen["question_id"])), work.path / "tokens.parquet")


# Each kind with the module that does its work; what that one imports counts too.
KINDS: dict[str, Kind] = {
    "questions": Kind(questions, ("studylib.data",)),
    "traces": Kind(traces, ("studylib.data",)),
    "hub_questions": Kind(hub_questions, ("studylib.hub",)),
    "hub_traces": Kind(hub_traces, ("studylib.hub",)),
    "sample": Kind(sample, ("studylib.generate",)),
    "grade": Kind(grade, ("studylib.grading",)),
    "levels": Kind(levels, ("studylib.analysis.difficulty",)),
    "sft": Kind(training.sft, ("studylib.train.sft",)),
    "grpo": Kind(training.grpo, ("studylib.train.grpo",)),
    "select": Kind(select, ("studylib.generate", "studylib.grading", "studylib.train.rewards")),
    "interleaved": Kind(training.interleaved, ("studylib.train.interleaved",)),
    "progressive": Kind(training.progressive, ("studylib.train.progressive",)),
    "merging": Kind(training.merging, ("studylib.train.merging",)),
    "distill": Kind(training.distill, ("studylib.train.distill",)),
    "no_easy": Kind(training.no_easy, ()),
    "mix": Kind(training.mix, ("studylib.train.mixing",)),
    "divergence": Kind(divergence, ("studylib.divergence",)),
}


def _threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
