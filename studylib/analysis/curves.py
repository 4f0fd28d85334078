"""What the training logs say beyond their curves."""

import pandas as pd

from studylib.analysis.difficulty import ALL

RULE = "a rule, no interval"  # what one training run shows: it holds or fails as it stands
LOSSES = ("SFT alone", "SFT and RL", "RL alone")


def stretches(log: pd.DataFrame, column: str = "reward") -> pd.DataFrame:
    """Running means over a tenth of each run, one row per arm: first, highest, highest_at (step), last, steps.

    log: columns arm, step and `column`.
    """
    rows = {}
    for arm, run in log.groupby("arm", sort=False):
        values = run.sort_values("step").set_index("step")[column]
        running = values.rolling(max(len(values) // 10, 1)).mean().dropna()
        ends = {"first": running.iloc[0], "highest": running.max(), "highest_at": running.idxmax()}
        rows[arm] = {**ends, "last": running.iloc[-1], "steps": len(values)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")


def collapses(rewards: pd.DataFrame) -> pd.Series:
    """Whether each run's reward ends below where it began. rewards: stretches of the reward."""
    return rewards["last"] < rewards["first"]


def loss_shares(log: pd.DataFrame) -> pd.DataFrame:
    """Share of the questions of each step by the loss that they got: arm, step, loss (of LOSSES), share.

    log: with "taught" and "reinforced", the shares that got the SFT and the RL loss; every question got one.
    """
    shares = {
        "SFT alone": 1 - log["reinforced"],
        "SFT and RL": log["taught"] + log["reinforced"] - 1,
        "RL alone": 1 - log["taught"],
    }
    table = log[["arm", "step"]].assign(**shares)
    return table.melt(["arm", "step"], list(LOSSES), var_name="loss", value_name="share")


def log_contrasts(log: pd.DataFrame) -> pd.DataFrame:
    """Each run against its start, over tenths of it: "reward", the last minus the first; "truncated", the highest
    minus the first. Rows as of difficulty.contrast, without intervals: what one run shows it shows as it stands."""
    tables = []
    for measure, end in (("reward", "last"), ("truncated", "highest")):
        runs = stretches(log, measure)
        tables.append(pd.DataFrame({"arm": runs.index, "estimate": runs[end] - runs["first"], "measure": measure}))
    unknown = dict.fromkeys(("se", "df", "low", "high"), float("nan"))
    table = pd.concat(tables, ignore_index=True)
    return table.assign(against="its start", benchmark=ALL, level=ALL, source=RULE, **unknown)
