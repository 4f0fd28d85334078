"""What responses do with the picture, by the mini world's program; no other questions have one."""

import json

import pandas as pd

from studylib.analysis.difficulty import ALL, POINTS
from studylib.analysis.scores import question_rates
from studylib.analysis.stats import estimates_by
from studylib.world.checker import STATEMENT, check_steps


def steps_right(scores: pd.DataFrame, questions: pd.DataFrame) -> pd.Series:
    """Share in % of the steps of each arm's responses that are right by the scene's program, indexed by arm.

    questions: columns id and scene. An arm without any step, or whose questions have no program, has none.
    """
    scenes = questions.set_index("id")["scene"]
    programs = scenes[scenes != ""].map(json.loads)
    told = scores[scores["question_id"].isin(programs.index)]
    counts = [check_steps(programs[q], text) for q, text in zip(told["question_id"], told["text"], strict=True)]
    summed = pd.DataFrame(counts, index=told["arm"], columns=["right", "steps"]).groupby(level=0).sum()
    return (POINTS * summed["right"] / summed["steps"]).reindex(scores["arm"].unique())


def line_by_line(scores: pd.DataFrame) -> pd.DataFrame:
    """How often responses read a line of the picture aloud, and how often they are right where they do and do not.

    Columns: arm, benchmark ("all" for their mean), those of stats.Estimate for the share in %, then the accuracies
    right_reading and right_leaping in %.
    """
    reads = scores["text"].map(lambda text: any(step["label"] for step in STATEMENT.finditer(text)))
    scores = scores.assign(reads=POINTS * reads.astype(float), percent=POINTS * scores["correct"])
    cells = pd.concat([scores.assign(panel=scores["benchmark"]), scores.assign(panel=ALL)], ignore_index=True)
    tables = []
    for panel, group in cells.groupby("panel", sort=False):
        shares = estimates_by(question_rates(group, "reads"), ["arm"]).set_index("arm")
        reading = group[group["reads"] > 0].groupby("arm")["percent"].mean().rename("right_reading")
        leaping = group[group["reads"] == 0].groupby("arm")["percent"].mean().rename("right_leaping")
        tables.append(shares.join([reading, leaping]).reset_index().assign(benchmark=panel))
    return pd.concat(tables, ignore_index=True)
