"""The paper's own numbers (arXiv 2507.07562v1), and re-scored checkpoints beside them."""

from collections.abc import Iterable

import pandas as pd

from studylib.analysis.difficulty import LEVELS
from studylib.paths import ROOT

FOLDER = ROOT / "outputs" / "paper_published"

MIRRORED = {
    "MiniVision": "MathVision",
    "MiniVerse": "MathVerse",
    "MiniVista": "MathVista",
    "MiniMMMU": "MMMU",
    "MiniStar": "MMStar",
}
METHOD_OF_ARM = {
    "base": "Base",
    "sft_eureka": "SFT",
    "rl": "RL",
    "two_stage": "Two-stage",
    "interleaved": "Interleaved",
    "progressive": "Progressive",
    "data_mixing": "Data Mixing",
    "merging": "Model Merging",
}


def paper_name(benchmark: str) -> str:
    """The benchmark of the paper that one of ours mirrors, or is."""
    return MIRRORED.get(benchmark, benchmark)


def in_paper_order(benchmarks: Iterable[str]) -> list[str]:
    """Each benchmark once, as the paper orders them; any other after these, by name."""
    order = [*MIRRORED, *MIRRORED.values()]
    return sorted(set(benchmarks), key=lambda name: (order.index(name) if name in order else len(order), name))


def published(name: str) -> pd.DataFrame:
    """One published table as printed; accuracies in %, gains in points, lengths in tokens."""
    return pd.read_csv(FOLDER / f"{name}.csv", dtype={"size": "Int64"})


def published_gains() -> pd.DataFrame:
    """Figure 1 in long form: benchmark (the paper's name), arm (ours), level, estimate in points."""
    wide = published("fig1_accuracy_gains")
    arms = {method: arm for arm, method in METHOD_OF_ARM.items()}
    long = wide.melt(["benchmark", "method"], var_name="level", value_name="estimate")
    return long.assign(arm=long["method"].map(arms)).drop(columns="method")


def published_arms(*arms: str) -> pd.DataFrame:
    """The paper's row of each arm, by its name there: accuracy over all in %, and the mean gain by level in points."""
    accuracy = published("headline").set_index("method")["avg"].rename("accuracy, %")
    gains = published_gains().pivot_table(index="arm", columns="level", values="estimate")
    methods = [METHOD_OF_ARM[arm] for arm in arms]
    return accuracy.to_frame().join(gains.rename(index=METHOD_OF_ARM)).loc[methods]


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
