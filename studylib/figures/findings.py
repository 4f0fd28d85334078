"""What a figure shows, as a sentence with its numbers, computed from the table that is drawn."""

import pandas as pd

from studylib.analysis.dial import OWN
from studylib.analysis.difficulty import ALL, LEVELS
from studylib.figures.palette import in_order, name_of


def gains(table: pd.DataFrame, arms: list[str]) -> str:
    """Of each arm: its gain at the easiest and at the hardest level. table: difficulty.gains."""
    cells = table[(table["against"] == "B") & (table["benchmark"] == ALL)].set_index(["arm", "level"])["estimate"]
    parts = [
        f"{name_of(arm)} {_points(cells.get((arm, LEVELS[0])))} at L1, {_points(cells.get((arm, LEVELS[-1])))} at L5"
        for arm in arms
    ]
    return "; ".join(parts) + " (points)"


def lengths(table: pd.DataFrame, arms: list[str]) -> str:
    """How many tokens each arm answers in, beside the base. table: length.response_length."""
    cells = table[(table["benchmark"] == ALL) & (table["level"] == ALL)].set_index("arm")["estimate"]
    parts = [f"{name_of(arm)} {cells[arm]:.0f}" for arm in arms]
    return f"Tokens of an answer: {', '.join(parts)}, the base {cells['base']:.0f}"


def accuracy(table: pd.DataFrame) -> str:
    """Which arm is best over all benchmarks, and the worst. table: difficulty.accuracy."""
    cells = table[table["benchmark"] == ALL].set_index("arm")["estimate"].sort_values()
    best, worst = cells.index[-1], cells.index[0]
    return f"Accuracy from {cells[worst]:.1f} % ({name_of(worst)}) to {cells[best]:.1f} % ({name_of(best)})"


def samples(table: pd.DataFrame) -> str:
    """What more samples give: of each arm one of its samples, and as many as it has. table: passk.pass_at_k."""
    cells = table[(table["benchmark"] == ALL) & (table["level"] == ALL)].set_index(["arm", "k"])["estimate"]
    most = cells.reset_index("k").groupby("arm", sort=False)["k"].max()
    parts = [f"{name_of(arm)} {cells[arm, 1]:.0f} and {cells[arm, k]:.0f} % ({k})" for arm, k in most.items()]
    return f"Right in one sample, and in one of several (of how many): {', '.join(parts)}"


def flows(table: pd.DataFrame, after: str) -> str:
    """Shares of questions that are lost and gained on the way to an arm. table: style.flows."""
    cells = table[table["benchmark"] == ALL].set_index("flow")["share"]
    lost, gained = cells["right to wrong"], cells["wrong to right"]
    return f"{name_of(after)} loses {lost:.1f} % of the questions and gains {gained:.1f} %"


def words(table: pd.DataFrame) -> str:
    """Who checks itself in words. table: style.word_counts."""
    cells = table.groupby("arm", sort=False)["per_1000_responses"].sum()
    parts = [f"{name_of(arm)} {cells[arm] / 1000:.1f}" for arm in in_order(list(cells.index))]
    return f"Reflection words per answer: {', '.join(parts)}"


def checkpoints(table: pd.DataFrame) -> str:
    """Which checkpoint of each arm was chosen, and whether that is its last. table: checkpoints.checkpoint_scores."""
    parts = []
    for arm in in_order(list(table["arm"].unique())):
        rows = table[table["arm"] == arm].sort_values("number")
        chosen = rows[rows["chosen"]].iloc[0]
        last = " (its last)" if chosen["number"] == rows["number"].max() else f" of {rows['number'].max():g}"
        parts.append(f"{name_of(arm)} {chosen['unit']} {chosen['number']:g}{last}")
    return f"Best on validation: {', '.join(parts)}"


def rewards(log: pd.DataFrame) -> str:
    """Where the reward began and ended, means over a tenth of each run. log: the training logs."""
    parts = []
    for arm in in_order(list(log["arm"].unique())):
        reward = log[log["arm"] == arm].sort_values("step")["reward"]
        tenth = max(1, len(reward) // 10)
        parts.append(f"{name_of(arm)} from {reward.head(tenth).mean():.2f} to {reward.tail(tenth).mean():.2f}")
    return f"Reward: {', '.join(parts)}"


def at_least_as_good(verdicts: pd.DataFrame) -> str:
    """How many combinations hold, fail and are undecided over all benchmarks. table: verdicts.judge of chapter 11."""
    counts = verdicts[verdicts["benchmarks"] == ALL]["verdict"].value_counts()
    parts = [f"{counts.get(verdict, 0)} {verdict}" for verdict in ("holds", "fails", "undecided")]
    return f"At least as good as the better parent at every level: {', '.join(parts)}"


def _points(value: float | None) -> str:
    return "no questions" if value is None else f"{value:+.0f}"


def dial_accuracy(table: pd.DataFrame) -> str:
    """RL's lead over SFT on every base. table: difficulty.accuracy by base."""
    cells = table[table["benchmark"] == ALL].set_index(["base", "arm"])["estimate"]
    parts = [f"{cells[base, 'rl'] - cells[base, 'sft_eureka']:+.1f} at {base}" for base in table["base"].unique()]
    return f"RL minus SFT over all: {'; '.join(parts)} (points)"


def dial_synergy(table: pd.DataFrame) -> str:
    """The combination that does best against the better parent on every base. table: against_better by base."""
    rows = table[(table["benchmark"] == ALL) & (table["level"] == ALL)]
    best = rows.loc[rows.groupby("base", sort=False)["estimate"].idxmax()]
    parts = [f"{name_of(row.arm)} {row.estimate:+.1f} at {row.base}" for row in best.itertuples()]
    return f"The best combination minus the better parent: {'; '.join(parts)} (points)"


def dial_ways(table: pd.DataFrame) -> str:
    """How often RL goes the long way on every base. table: dial.long_way by base."""
    rows = table[table["arm"] == "rl"]
    return f"RL goes the long way in {', '.join(f'{row.estimate:.1f} % at {row.base}' for row in rows.itertuples())}"


def dial(outcome: pd.DataFrame, gains: pd.DataFrame, differences: pd.DataFrame) -> str:
    """What the dial says, in a paragraph: how the prediction fared, and where combinations add up.

    outcome: dial.outcome. gains: dial.hard_gains by base. differences: synergy.against_better by base.
    """
    counts = outcome["outcome"].value_counts()
    tally = [f"{counts.get(word, 0)} {word}" for word in ("held", "did not hold", "undecided", "not run")]
    rl = gains[(gains["arm"] == "rl") & (gains["benchmark"] == ALL)]
    hard = [f"{span(row)} at {row.base}" for row in rl.itertuples()]
    whole = differences[(differences["benchmark"] == ALL) & (differences["level"] == ALL)]
    above, below = whole[whole["low"] > 0], whole[whole["high"] < 0]
    return (
        f"Of the {len(outcome)} parts of the prediction: {', '.join(tally)}. "
        f"RL's gain in points where it is hard (L4 and L5): {'; '.join(hard)}. "
        f"Above the better parent, over all levels: {_which(above)}. Below it: {_which(below)}. "
        f"Of the others ({len(whole) - len(above) - len(below)}) the interval holds zero: neither is shown. "
        f"{_so(outcome, set(above.loc[above['base'] == OWN, 'arm']))}"
    )


def _so(outcome: pd.DataFrame, own: set[str]) -> str:
    """What follows for the question of the chapter. own: the combinations above the better parent at dose 0."""
    adds = outcome[outcome["id"].str.contains("-adds-")]
    held = {name.partition("-adds-")[0] for name in adds.loc[adds["outcome"] == "held", "id"]}
    if held & own:
        names = ", ".join(map(name_of, sorted(held & own)))
        return (
            f"Over all levels {names} is above the better parent at 0 % as well, so that part of the prediction holds "
            "and yet does not tell the doses apart: whether they still trade is to be read level by level, below."
        )
    if held:
        return "So there is a dose at which SFT and RL add up over all levels; at 0 % that is not shown."
    if "not run" in set(adds["outcome"]):
        return "Whether SFT and RL add up at another dose is not known here."
    if own:
        return (
            "Tested together, as the prediction is (Holm), no combination is shown to add up at another dose; at 0 % "
            f"{', '.join(map(name_of, sorted(own)))} is above the better parent over all levels, and whether it trades "
            "there is to be read level by level, below."
        )
    return "So no dose is known at which SFT and RL add up."


def _which(rows: pd.DataFrame) -> str:
    return "; ".join(f"{name_of(row.arm)} at {row.base}, {span(row)}" for row in rows.itertuples()) or "none"


def span(row) -> str:
    """An estimate with its interval, in points. row: of a table, as a series or a tuple with names."""
    return f"{row.estimate:+.1f} [{row.low:.1f}, {row.high:.1f}]"
