"""Grades of responses, and the levels of difficulty that follow from them."""

import os

import pandas as pd

from studylib.params.load import Params
from studylib.store import machine
from studylib.store.files import plain_rows, write_table
from studylib.store.store import Work


def grade(work: Work, params: Params) -> None:
    """`grades.parquet`, a row a response: extracted answer, outcome, and how it was found."""
    responses = pd.read_parquet(work.inputs["responses"].path / "responses.parquet")
    table, judge = grade_responses(responses, work, params)
    write_table(table, work.path / "grades.parquet")
    work.facts |= {"judge": judge} if judge else {}
    work.facts |= {"accuracy": round(float((table["outcome"] == "correct").mean()), 4)}


def grade_responses(responses: pd.DataFrame, work: Work, params: Params) -> tuple[pd.DataFrame, dict]:
    """Grades by the rules; what these leave unparsed by the judge, where the params name one, and its facts."""
    from studylib.grading import grade_many

    known = {row["id"]: row for row in plain_rows(work.inputs["questions"])}
    columns = zip(responses["question_id"], responses["text"], responses["finish_reason"], strict=True)
    rows = [{**known[name], "response": text, "finish_reason": reason} for name, text, reason in columns]
    verdicts, judge = list(grade_many(rows, jobs=_jobs())), {}
    if params.judge:
        from studylib.grading.judged import judged

        verdicts, judge = judged(rows, verdicts, params.judge, work.path.parents[1] / "judge")
    grades = pd.DataFrame([g._asdict() for g in verdicts])
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


def _jobs() -> int:
    """All cores beside GPUs, where nothing else wants them; else this process's share."""
    return machine.cores() if machine.gpus() else int(os.environ.get("OMP_NUM_THREADS") or machine.cores())
