"""What each checkpoint of an arm scored on validation, where the best one is chosen."""

import pandas as pd

from studylib.analysis.difficulty import POINTS
from studylib.analysis.scores import question_rates
from studylib.analysis.stats import estimates_by


def with_problems(validation: pd.DataFrame, questions: pd.DataFrame) -> pd.DataFrame:
    """Validation responses plus problem (the cluster) and correct (0.0 or 1.0)."""
    problems = questions.set_index("id")["problem"]
    return validation.assign(
        problem=validation["question_id"].map(problems), correct=(validation["outcome"] == "correct").astype(float)
    )


def checkpoint_scores(validation: pd.DataFrame, questions: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in %: arm, checkpoint, unit, number, chosen, then the columns of stats.Estimate.

    `number` is that of the step or epoch, of a merged model its SFT share. Chosen is the best of an arm, the first
    of equals as they stand in the table, as in training. An interval of the chosen one is too hopeful as a forecast:
    it was chosen for being high.
    """
    tables = []
    for (_, checkpoint), group in with_problems(validation, questions).groupby(["arm", "checkpoint"], sort=False):
        rates = question_rates(group)
        rates["value"] *= POINTS
        unit, _, number = checkpoint.partition("-")
        scored = estimates_by(rates, ["arm"])
        accuracy = group["correct"].mean()
        tables.append(scored.assign(checkpoint=checkpoint, unit=unit, number=float(number or 0), raw=accuracy))
    table = pd.concat(tables, ignore_index=True)
    best = table.groupby("arm", sort=False)["raw"].idxmax()
    return table.assign(chosen=table.index.isin(best)).drop(columns="raw")


def chosen_responses(validation: pd.DataFrame, questions: pd.DataFrame) -> pd.DataFrame:
    """The validation responses of the chosen checkpoint of each arm, with problem and correct."""
    scored = checkpoint_scores(validation, questions)
    best = scored.loc[scored["chosen"], ["arm", "checkpoint"]]
    return with_problems(validation, questions).merge(best, on=["arm", "checkpoint"])
