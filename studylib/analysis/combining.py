"""A combination of SFT and RL beside its two parents."""

import pandas as pd

from studylib.analysis.difficulty import contrast

PARENTS = ("sft_eureka", "rl")


def against_parents(scores: pd.DataFrame, levels: pd.DataFrame, measure: str = "accuracy") -> pd.DataFrame:
    """Paired contrasts (difficulty.contrast) of every arm but the base's and the parents against either parent."""
    arms = dict(list(scores.groupby("arm", sort=False)))
    combinations = [arm for arm in arms if arm not in PARENTS and not arm.startswith("base")]
    tables = [contrast(arms[arm], arms[parent], levels, parent, measure) for arm in combinations for parent in PARENTS]
    return pd.concat(tables, ignore_index=True)
