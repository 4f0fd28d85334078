"""The paper's own numbers (arXiv 2507.07562v1), read from outputs/paper_published."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from studylib.errors import StudyError

FOLDER = Path(__file__).resolve().parent.parent / "outputs" / "paper_published"

TABLES = (
    "headline",
    "table1_sft_data",
    "table2_3_rl",
    "table5_words",
    "table7_lengths",
    "fig1_accuracy_gains",
)

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
    if name not in TABLES:
        raise StudyError(f"No published table is named '{name}'; there are {', '.join(TABLES)}.")
    path = FOLDER / f"{name}.csv"
    if not path.exists():
        raise StudyError(f"The published table {path} is missing; restore it with `git checkout -- {path}`.")
    return pd.read_csv(path, dtype={"size": "Int64"})


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
