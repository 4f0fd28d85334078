"""Responses, grades and questions joined into the one table that every measure starts from."""

import pandas as pd

from studylib.errors import StudyError

KEY = ["benchmark", "question_id", "arm", "seed", "sample"]
OUTCOMES = ("correct", "wrong", "unparsed", "truncated", "grader error")


def join_scores(responses: pd.DataFrame, grades: pd.DataFrame, questions: pd.DataFrame) -> pd.DataFrame:
    """One row a sampled response: KEY, problem, outcome, correct (0.0 or 1.0), tokens, finish_reason, text.

    questions: columns id and problem, with anything else ignored. Every response must have
    exactly one grade and a known question, or StudyError names the first that has not.
    """
    for name, table in {"responses": responses, "grades": grades}.items():
        doubled = table[table.duplicated(KEY)]
        if len(doubled):
            raise StudyError(f"The {name} table holds {_row(doubled)} twice; grade the responses once more.")
    joined = responses[[*KEY, "tokens", "finish_reason", "text"]].merge(
        grades[[*KEY, "outcome"]], on=KEY, how="outer", indicator="found"
    )
    lonely = joined[joined["found"] != "both"]
    if len(lonely):
        missing = "grade" if lonely["found"].iloc[0] == "left_only" else "response"
        raise StudyError(f"{_row(lonely)} has no {missing}; grade the responses once more.")
    unknown = joined[~joined["outcome"].isin(OUTCOMES)]
    if len(unknown):
        raise StudyError(
            f"{_row(unknown)} has the outcome '{unknown['outcome'].iloc[0]}', which is none of {OUTCOMES}."
        )
    problems = questions.set_index("id")["problem"]
    strangers = joined[~joined["question_id"].isin(problems.index)]
    if len(strangers):
        raise StudyError(f"{_row(strangers)} answers a question that the questions table does not hold.")
    return joined.drop(columns="found").assign(
        problem=joined["question_id"].map(problems), correct=(joined["outcome"] == "correct").astype(float)
    )


def question_rates(scores: pd.DataFrame, value: str = "correct") -> pd.DataFrame:
    """Mean over the samples of a question: arm, seed, benchmark, problem, question_id, value, samples.

    The value keeps the unit of the column: a share for `correct`, tokens for `tokens`.
    """
    keys = ["arm", "seed", "benchmark", "problem", "question_id"]
    grouped = scores.groupby(keys, sort=True, dropna=False)[value]
    return grouped.agg(value="mean", samples="size").reset_index()


def _row(table: pd.DataFrame) -> str:
    first = table.iloc[0]
    return f"sample {first['sample']} of {first['arm']} (seed {first['seed']}) on {first['question_id']}"
