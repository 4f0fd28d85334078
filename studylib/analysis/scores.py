"""Responses, grades and questions joined into the one table that every measure starts from."""

import pandas as pd

from studylib.errors import StudyError

KEY = ["benchmark", "question_id", "arm", "seed", "sample"]


def join_scores(responses: pd.DataFrame, grades: pd.DataFrame, questions: pd.DataFrame) -> pd.DataFrame:
    """One row a sampled response: KEY, problem, outcome, correct (0.0 or 1.0), tokens, finish_reason, text.

    questions: columns id and problem, with anything else ignored. Raises MergeError where a response or a grade
    stands twice, StudyError where one is without the other.
    """
    joined = responses[[*KEY, "tokens", "finish_reason", "text"]].merge(
        grades[[*KEY, "outcome"]], on=KEY, how="outer", validate="one_to_one"
    )
    alone = joined[joined["text"].isna() | joined["outcome"].isna()]
    if len(alone):
        one = alone.iloc[0]
        raise StudyError(
            f"Sample {one['sample']} of {one['arm']} (seed {one['seed']}) on {one['question_id']} has a response or a "
            "grade, not both; grade the responses once more."
        )
    problems = questions.set_index("id")["problem"]
    return joined.assign(
        problem=joined["question_id"].map(problems), correct=(joined["outcome"] == "correct").astype(float)
    )


def question_rates(scores: pd.DataFrame, value: str = "correct") -> pd.DataFrame:
    """Mean over the samples of a question: arm, seed, benchmark, problem, question_id, value, samples.

    The value keeps the unit of the column: a share for `correct`, tokens for `tokens`.
    """
    keys = ["arm", "seed", "benchmark", "problem", "question_id"]
    grouped = scores.groupby(keys, sort=True, dropna=False)[value]
    return grouped.agg(value="mean", samples="size").reset_index()
