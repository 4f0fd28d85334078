"""Difficulty levels from the base's own pass rate; gains by level with the control that the paper lacks."""

import pandas as pd

from studylib.analysis.scores import question_rates
from studylib.analysis.stats import estimates_by, log_ratio, paired, paired_differences
from studylib.errors import StudyError

LEVELS = ("L1", "L2", "L3", "L4", "L5")
# Lower bound of each level in sixteenths of a pass rate (paper, section 2: protocol).
SIXTEENTHS = {"L1": 12, "L2": 8, "L3": 5, "L4": 2, "L5": 0}
ALL = "all"
PARTS = ("trained", "held out")  # benchmarks that the training queries are like, and all others
MEAN = "mean"  # over levels, each weighs alike
RISE = "L5 - L1"
POINTS = 100


def level_of(correct: int, n: int = 16) -> str:
    """Level of a question that the base solved `correct` of `n` times: L1 from 12/16 on, L5 below 2/16."""
    return next(level for level, bound in SIXTEENTHS.items() if 16 * correct >= bound * n)


def tag_levels(scores_a: pd.DataFrame) -> pd.DataFrame:
    """Levels from the base's set A: benchmark, problem, question_id, correct, samples, pass_rate, level."""
    keys = ["benchmark", "problem", "question_id"]
    table = scores_a.groupby(keys, sort=True)["correct"].agg(correct="sum", samples="size").reset_index()
    table["correct"] = table["correct"].astype(int)
    levels = [level_of(c, n) for c, n in zip(table["correct"], table["samples"], strict=True)]
    return table.assign(pass_rate=table["correct"] / table["samples"], level=levels)


def level_counts(levels: pd.DataFrame) -> pd.DataFrame:
    """Questions in each cell: one row a benchmark, one column a level, and the sum."""
    counts = pd.crosstab(levels["benchmark"], levels["level"]).reindex(columns=list(LEVELS), fill_value=0)
    return counts.assign(sum=counts.sum(axis=1))


def with_parts(levels: pd.DataFrame, training: list[str]) -> pd.DataFrame:
    """The levels with the part (of PARTS) of each question's benchmark. training: the benchmarks trained on."""
    return levels.assign(part=levels["benchmark"].isin(training).map({True: PARTS[0], False: PARTS[1]}))


def contrast(
    arm: pd.DataFrame,
    reference: pd.DataFrame,
    levels: pd.DataFrame,
    against: str,
    measure: str = "accuracy",
    rise: bool = False,
) -> pd.DataFrame:
    """Arm minus reference, in every panel (`margins`) and level and over all levels ("all"); `rise`: also L5 minus L1.

    arm, reference: score tables of one arm each (scores.join_scores). The unit is points for the measure
    "accuracy"; "log_length" is the log of how many times as long: the ratio of mean tokens over the same
    questions; any other measure is a column of the scores. Columns: arm, against, measure, benchmark (the
    panel), level, then those of stats.Estimate. In a panel of several benchmarks each of them weighs alike.
    """
    column = {"accuracy": "correct", "log_length": "tokens"}.get(measure, measure)
    rates = [question_rates(scores, column) for scores in (arm, reference)]
    rows = paired(*rates) if measure == "log_length" else paired_differences(*rates)
    if measure == "accuracy":
        rows["value"] *= POINTS
    cells = pd.concat(margins(with_levels(rows, levels)), ignore_index=True)
    if measure == "log_length":
        cells = pd.concat([log_ratio(cell) for _, cell in cells.groupby(["panel", "level"])], ignore_index=True)
    table = estimates_by(cells, ["panel", "level"])
    if rise:
        table = pd.concat([table, _rises(cells)], ignore_index=True)
    return table.rename(columns={"panel": "benchmark"}).assign(arm=arm["arm"].iloc[0], against=against, measure=measure)


def _rises(cells: pd.DataFrame) -> pd.DataFrame:
    """L5 minus L1 of every panel that has both, as twice the mean over the two levels, L1 with its sign changed."""
    ends = cells[cells["level"].isin([LEVELS[0], LEVELS[-1]])]
    ends = ends[ends.groupby("panel")["level"].transform("nunique") == 2]
    if ends.empty:
        return pd.DataFrame()
    signed = ends.assign(value=2 * ends["value"].where(ends["level"] == LEVELS[-1], -ends["value"]), level=RISE)
    return estimates_by(signed.assign(end=ends["level"]), ["panel", "level"], ("end", "benchmark"))


def with_levels(rates: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """The rates with the level of each question, and its part where the levels have parts; StudyError without level."""
    known = levels.set_index("question_id")[[name for name in ("level", "part") if name in levels]]
    tagged = rates.join(known, on="question_id")
    if tagged["level"].isna().any():
        lonely = tagged[tagged["level"].isna()]["question_id"].iloc[0]
        raise StudyError(f"{lonely} has no difficulty level; tag the levels on the same split.")
    return tagged


def margins(rates: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows in every panel that they count in, and there at their level and at "all".

    A panel is a benchmark, one of PARTS, or "all".
    """
    panels = [rates["benchmark"], *([rates["part"]] if "part" in rates else []), ALL]
    cells = [rates.assign(panel=panel) for panel in panels]
    return [*cells, *(cell.assign(level=ALL) for cell in cells)]


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
