"""The tables of chapter 02 on the grader's agreement with published verdicts, anew.

STUDY_DATA=... python -m bench.grading_agreement     # writes outputs/grading/, keeps the classes that it holds
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from studylib.analysis.agreement import FOLDER, agreement, disagreements, grade_dev, grade_pairs, policies, read_rows

JOBS = 2


def main(data: Path) -> None:
    graded, pairs = grade_dev(data, JOBS), grade_pairs(data, JOBS)
    tables = {
        "agreement": agreement(graded, _classes(graded, "disagreements"), ["source", "question_type"]),
        "pairs": agreement(pairs, _classes(pairs, "pair_disagreements"), ["source"]),
    }
    rows = read_rows(data / "grading" / "dev.jsonl")
    for name, table in {**tables, "habits": habits(policies(rows, JOBS), rows)}.items():
        table.to_csv(FOLDER / f"{name}.csv", index=False, float_format="%.4f")


def _classes(graded: pd.DataFrame, name: str) -> pd.DataFrame:
    """The disagreements with the class of each that a reader has given one, written over those before."""
    path = FOLDER / f"{name}.csv"
    table = disagreements(graded, pd.read_csv(path, keep_default_na=False) if path.is_file() else None)
    table.to_csv(path, index=False)
    return table


def habits(scores: pd.DataFrame, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """For each source and habit of grading: the accuracy that it reports, and its agreement with the verdicts
    (shares; "published" is the verdicts themselves)."""
    verdict = pd.Series([float(row["verdict"]) for row in rows])
    long = scores.assign(published=verdict, source=[row["source"] for row in rows], verdict=verdict)
    long = long.melt(["source", "verdict"], var_name="habit", value_name="score").dropna()
    long["agreement"] = 1 - (long["score"] - long["verdict"]).abs()
    shares = long.groupby(["source", "habit"], sort=False)[["score", "agreement"]].mean()
    return shares.rename(columns={"score": "accuracy"}).reset_index()


if __name__ == "__main__":
    main(Path(os.environ["STUDY_DATA"]))
