"""What responses do with the picture, by the mini world's program; no other questions have one."""

import json

import pandas as pd

from studylib.analysis.difficulty import ALL, POINTS
from studylib.analysis.scores import question_rates
from studylib.analysis.stats import estimates_by
from studylib.world.checker import check_steps, strategy
from studylib.world.tasks import Task, steps_needed

SHORT = "short"  # world.checker.strategy: one pass over the picture
LONG = "long"  # the sequence that long-CoT SFT brings


def programs(questions: pd.DataFrame) -> dict[str, dict]:
    """The program of each question that has one, by its id."""
    scenes = questions.set_index("id")["scene"]
    return scenes[scenes != ""].map(json.loads).to_dict()


def with_strategy(scores: pd.DataFrame, known: dict[str, dict]) -> pd.DataFrame:
    """The responses with the way each goes (world.checker.strategy), None where the question has no program."""
    rows = zip(scores["question_id"], scores["text"], strict=True)
    return scores.assign(strategy=[strategy(text) if q in known else None for q, text in rows])


def needed(program: dict) -> int:
    """Elementary acts that the answer needs (world.tasks.steps_needed)."""
    return steps_needed(Task(**program))


def steps_right(scores: pd.DataFrame, questions: pd.DataFrame) -> pd.Series:
    """Share in % of the steps of each arm's responses that are right by the scene's program, indexed by arm.

    questions: columns id and scene. An arm without any step, or whose questions have no program, has none.
    """
    known = programs(questions)
    answers = scores[scores["question_id"].isin(known)]
    counts = [check_steps(known[q], text) for q, text in zip(answers["question_id"], answers["text"], strict=True)]
    summed = pd.DataFrame(counts, index=answers["arm"], columns=["right", "steps"]).groupby(level=0).sum()
    return (POINTS * summed["right"] / summed["steps"]).reindex(scores["arm"].unique())


def ways(scores: pd.DataFrame, questions: pd.DataFrame) -> pd.DataFrame:
    """Which way the responses go (world.checker.strategy), and how many are right in each.

    questions: columns id and scene. Columns: arm, benchmark ("all" for their mean), way, those of stats.Estimate for
    the share in %, then right, the accuracy in % of the responses that go this way. Empty without programs.
    """
    answers = with_strategy(scores, programs(questions)).dropna(subset="strategy")
    cells = pd.concat([answers.assign(panel=answers["benchmark"]), answers.assign(panel=ALL)], ignore_index=True)
    tables = []
    for way in sorted(answers["strategy"].unique()):
        taken = cells["strategy"] == way
        rates = cells.assign(taken=POINTS * taken.astype(float))
        right = POINTS * cells[taken].groupby(["arm", "panel"])["correct"].mean()
        for panel, group in rates.groupby("panel", sort=False):
            shares = estimates_by(question_rates(group, "taken"), ["arm"])
            tables.append(shares.assign(benchmark=panel, way=way, right=[right.get((a, panel)) for a in shares["arm"]]))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
