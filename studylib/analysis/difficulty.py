"""Difficulty levels from the base's own pass rate; gains by level with the control that the paper lacks."""

import numpy as np
import pandas as pd

from studylib.analysis.scores import question_rates
from studylib.analysis.stats import estimates_by, paired_differences
from studylib.errors import StudyError

LEVELS = ("L1", "L2", "L3", "L4", "L5")
# Lower bound of each level in sixteenths of a pass rate (paper, section 2: protocol).
SIXTEENTHS = {"L1": 12, "L2": 8, "L3": 5, "L4": 2, "L5": 0}
ALL = "all"
POINTS = 100


def level_of(correct: int, n: int = 16) -> str:
    """Level of a question that the base solved `correct` of `n` times: L1 from 12/16 on, L5 below 2/16."""
    if not 0 <= correct <= n or n < 1:
        raise StudyError(f"A pass rate needs 0 <= correct <= n and n >= 1; it got {correct} of {n}.")
    return next(level for level, bound in SIXTEENTHS.items() if 16 * correct >= bound * n)


def tag_levels(scores_a: pd.DataFrame) -> pd.DataFrame:
    """Levels from the base's set A: benchmark, problem, question_id, correct, samples, pass_rate, level."""
    keys = ["benchmark", "problem", "question_id"]
    table = scores_a.groupby(keys, sort=True)["correct"].agg(correct="sum", samples="size").reset_index()
    uneven = table[table["samples"] != table["samples"].mode()[0]]
    if len(uneven):
        raise StudyError(
            f"{uneven['question_id'].iloc[0]} has {uneven['samples'].iloc[0]} base samples where the others "
            f"have {table['samples'].mode()[0]}; sample the base once more."
        )
    table["correct"] = table["correct"].astype(int)
    levels = [level_of(c, n) for c, n in zip(table["correct"], table["samples"], strict=True)]
    return table.assign(pass_rate=table["correct"] / table["samples"], level=levels)


def level_counts(levels: pd.DataFrame) -> pd.DataFrame:
    """Questions in each cell: one row a benchmark, one column a level, and the sum."""
    counts = pd.crosstab(levels["benchmark"], levels["level"]).reindex(columns=list(LEVELS), fill_value=0)
    return counts.assign(sum=counts.sum(axis=1))


def contrast(
    arm: pd.DataFrame, reference: pd.DataFrame, levels: pd.DataFrame, against: str, measure: str = "accuracy"
) -> pd.DataFrame:
    """Arm minus reference, on every benchmark and level and over all ("all") of either.

    arm, reference: score tables of one arm each (scores.join_scores). The unit is points for the measure
    "accuracy", and for "log_length" the natural log of the ratio of mean tokens of a question. Columns: arm,
    against, measure, benchmark, level, then those of stats.Estimate. Over all, each benchmark weighs alike.
    """
    differences = paired_differences(_measured(arm, measure), _measured(reference, measure))
    cells = pd.concat(margins(with_levels(differences, levels)))
    table = estimates_by(cells, ["panel", "level"]).rename(columns={"panel": "benchmark"})
    return table.assign(arm=arm["arm"].iloc[0], against=against, measure=measure)


def _measured(scores: pd.DataFrame, measure: str) -> pd.DataFrame:
    rates = question_rates(scores, "correct" if measure == "accuracy" else "tokens")
    values = POINTS * rates["value"] if measure == "accuracy" else np.log(rates["value"])
    return rates.assign(value=values)


def with_levels(rates: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """The rates with the level of each question; StudyError where a question has none."""
    tagged = rates.assign(level=rates["question_id"].map(levels.set_index("question_id")["level"]))
    if tagged["level"].isna().any():
        lonely = tagged[tagged["level"].isna()]["question_id"].iloc[0]
        raise StudyError(f"{lonely} has no difficulty level; tag the levels on the same split.")
    return tagged


def margins(rates: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows as cells (panel = benchmark, level), with either replaced by "all", and with both."""
    cells = rates.assign(panel=rates["benchmark"])
    return [cells, cells.assign(level=ALL), cells.assign(panel=ALL), cells.assign(panel=ALL, level=ALL)]


def gains(arms: pd.DataFrame, base_a: pd.DataFrame, base_b: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """Gains of every arm against set B, the biased ones against set A, and the base's own regression line.

    `against` tells them apart: "B" is the fair gain; "A" the biased one. The rows of arm "base" (against "A")
    are set B minus set A: what a method that changes nothing seems to gain where set A both tags and scores.
    """
    tables = [contrast(base_b.assign(arm="base"), base_a, levels, "A")]
    for _, scores in arms.groupby("arm", sort=False):
        tables += [contrast(scores, base_b, levels, "B"), contrast(scores, base_a, levels, "A")]
    return pd.concat(tables, ignore_index=True)


def accuracy(scores: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in % of every arm on each benchmark and over all, with the columns of stats.Estimate."""
    rates = question_rates(scores)
    rates["value"] *= POINTS
    cells = pd.concat([rates.assign(panel=rates["benchmark"]), rates.assign(panel=ALL)])
    return estimates_by(cells, ["arm", "panel"]).rename(columns={"panel": "benchmark"})
