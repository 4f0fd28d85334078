"""Re-scored checkpoints against what the paper printed of them."""

import pandas as pd

from studylib.analysis.difficulty import LEVELS

REPRODUCED = 2.0  # points


def against_printed(accuracy: pd.DataFrame, printed: pd.DataFrame, rows: dict[str, str]) -> pd.DataFrame:
    """Our accuracy minus the printed one, in points: arm, benchmark, ours, printed, estimate, low, high, verdict.

    accuracy: difficulty.accuracy. printed: published("headline"). rows: our arm and the paper's row. The verdict of "it
    is the printed one within 2 points" holds where the whole interval lies within them, fails where all of it lies
    beyond, else it is undecided. The interval is ours alone: the paper gives none.
    """
    long = printed.rename(columns={"avg": "all"}).melt("method", var_name="benchmark", value_name="printed")
    arms = {method: arm for arm, method in rows.items()}
    long = long.assign(arm=long["method"].map(arms)).dropna(subset="arm")
    table = accuracy.merge(long[["arm", "benchmark", "printed"]], on=["arm", "benchmark"]).rename(
        columns={"estimate": "ours"}
    )
    for column, source in (("estimate", "ours"), ("low", "low"), ("high", "high")):
        table[column] = table[source] - table["printed"]
    within = (table["low"] > -REPRODUCED) & (table["high"] < REPRODUCED)
    beyond = (table["low"] > REPRODUCED) | (table["high"] < -REPRODUCED)
    verdict = pd.Series("undecided", table.index).mask(within, "holds").mask(beyond, "fails")
    wanted = ["arm", "benchmark", "ours", "printed", "estimate", "low", "high"]
    return table[wanted].assign(verdict=verdict)


def level_agreement(levels: pd.DataFrame, published: pd.Series) -> pd.DataFrame:
    """Questions by the published level (rows) and the one of our own base samples (columns).

    levels: difficulty.tag_levels. published: the level by question id, "" where there is none (left out).
    """
    theirs = levels["question_id"].map(published)
    kept = levels[theirs.isin(LEVELS)]
    table = pd.crosstab(theirs[kept.index], kept["level"])
    return table.reindex(index=list(LEVELS), columns=list(LEVELS), fill_value=0).rename_axis("published")
