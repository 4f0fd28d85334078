"""Grades of responses, and the levels of difficulty that follow from them."""

import os
from collections.abc import Iterable
from typing import Any

import pandas as pd

from studylib.params.load import Params
from studylib.store import machine
from studylib.store.files import plain_rows, write_table
from studylib.store.store import Work


def grade(work: Work, params: Params) -> None:
    """`grades.parquet`, one row per response, by the rules: extracted answer, outcome, and how it was found."""
    responses = pd.read_parquet(work.inputs["responses"].path / "responses.parquet")
    _publish(grade_responses(responses, work), work)


def judge(work: Work, params: Params) -> None:
    """The rules' grades of test responses, with what they left unparsed put to the judge: the only stages that need it
    served, and nothing that is trained waits for them."""
    from studylib.grading import Grade
    from studylib.grading.judged import judged

    responses = pd.read_parquet(work.inputs["responses"].path / "responses.parquet")
    rules = pd.read_parquet(work.inputs["rules"].path / "grades.parquet")
    columns = zip(rules["extracted"], rules["outcome"], rules["how"], strict=True)
    grades = [Grade(None if pd.isna(extracted) else extracted, *rest) for extracted, *rest in columns]
    cache = work.path.parents[1] / "judge"
    verdicts, work.facts["judge"] = judged(_answered(responses, work), grades, params.judge, cache)
    _publish(_table(responses, verdicts), work)


def grade_responses(responses: pd.DataFrame, work: Work) -> pd.DataFrame:
    """Grades by the rules, one row per response."""
    from studylib.grading import grade_many

    return _table(responses, grade_many(_answered(responses, work), jobs=_jobs()))


def _answered(responses: pd.DataFrame, work: Work) -> list[dict[str, Any]]:
    """The question of each response with the response in it."""
    known = {row["id"]: row for row in plain_rows(work.inputs["questions"])}
    columns = zip(responses["question_id"], responses["text"], responses["finish_reason"], strict=True)
    return [{**known[name], "response": text, "finish_reason": reason} for name, text, reason in columns]


def _table(responses: pd.DataFrame, verdicts: Iterable[Any]) -> pd.DataFrame:
    grades = pd.DataFrame([verdict._asdict() for verdict in verdicts])
    keys = responses[["benchmark", "question_id", "arm", "seed", "sample"]]
    return keys.assign(extracted=grades["extracted"], outcome=grades["outcome"], how=grades["how"])


def _publish(table: pd.DataFrame, work: Work) -> None:
    write_table(table, work.path / "grades.parquet")
    work.facts |= {"accuracy": round(float((table["outcome"] == "correct").mean()), 4)}


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
