"""Every stored response graded once more: a change of the grader is held against every stored verdict.

    python -m bench.regrade runs/mini      # exits with 1 where any row differs

A number that is in a table stays what it is only if no grade behind it moves.
"""

import json
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet

from studylib.grading import grade_many

GRADE = ["extracted", "outcome"]
ASKED = ["question_id", "text", "finish_reason"]


def regraded(stage: Path) -> pd.DataFrame:
    """The stored grades of one stage, with what today's rules say as `new_extracted` and `new_outcome`."""
    inputs = json.loads((stage / "manifest.json").read_text())["inputs"]
    questions = pyarrow.parquet.read_table(stage.with_name(inputs["questions"]) / "questions.parquet").to_pylist()
    known = {row["id"]: row for row in questions}
    responses = pd.read_parquet(stage.with_name(inputs["responses"]) / "responses.parquet")[ASKED]
    once = responses.drop_duplicates()
    rows = [{**known[name], "response": text, "finish_reason": reason} for name, text, reason in once.to_numpy()]
    grades = pd.DataFrame([grade._asdict() for grade in grade_many(rows)])[GRADE].add_prefix("new_")
    today = responses.merge(once.reset_index(drop=True).join(grades), on=ASKED, how="left")
    return pd.read_parquet(stage / "grades.parquet").join(today.drop(columns="question_id"))


def main(runs: Path) -> int:
    """Print the rows and the differing rows of each stage, and each row that differs; the number of these."""
    rows = differing = 0
    for stage in sorted(runs.glob("*.grades*")):
        table = regraded(stage)
        old, new = (table[[prefix + name for name in GRADE]].fillna("").to_numpy() for prefix in ("", "new_"))
        other = table[(old != new).any(axis=1)]
        print(f"{stage.name}: {len(table)} rows, {len(other)} differ", flush=True)
        if len(other):
            print(other.to_string())
        rows, differing = rows + len(table), differing + len(other)
    print(f"{rows} rows regraded, {differing} differ")
    return differing


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])) > 0)
