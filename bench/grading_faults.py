"""What the grader of an earlier commit did with the kinds of fault that others reported, beside today's: faults.csv.

    STUDY_DATA=... python -m bench.grading_faults 72ceaa7     # writes outputs/grading/faults.csv

Kinds: tests/grading_kinds.jsonl (right answers accepted, wrong ones refused). Golds of the real samples in STUDY_DATA:
the share of natural right answers that reach them: points of such a benchmark, if every answer were right.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from studylib.paths import ROOT

FREE = {
    "question": "",
    "question_type": "free_form",
    "choices": [],
    "answer_type": None,
    "precision": None,
    "unit": None,
}
FORMS = ["the gold in a box", "short, in a box", "a sentence, or part by part"]
GRADER = """
import json, sys
from studylib.grading import grade
for row in json.load(sys.stdin): print(grade(row, row["response"]).outcome == "correct")
"""


def kinds() -> Iterator[dict[str, Any]]:
    """Responses of every kind, each with whether it is right."""
    for line in (ROOT / "tests" / "grading_kinds.jsonl").read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        row = FREE | {"answer": case["gold"]}
        if "choices" in case:
            row |= {"choices": case["choices"], "question_type": "multi_choice", "answer_type": "letter"}
        for wanted in ("right", "wrong"):
            for text in case[wanted]:
                said = f"<think> Let me see. </think> So \\boxed{{{text}}}" if case.get("in_a_box") else text
                yield {"group": case["kind"], "right": wanted == "right", "row": row | {"response": said}}


def golds(data: Path) -> Iterator[dict[str, Any]]:
    """The golds of real questions, each in three natural right forms."""
    from tests.test_grading_samples import natural_forms

    for sample in ("k12_sample", "mathv_sample"):
        for line in (data / sample / "questions.jsonl").read_text(encoding="utf-8").splitlines():
            question = json.loads(line)
            choices = question.get("choices") or []
            row = FREE | {"question": question["question"], "choices": choices, "answer": question["answer"]}
            if choices:
                row |= {"question_type": "multi_choice", "answer_type": "letter"}
            for name, form in zip(FORMS, natural_forms(question["answer"], choices), strict=True):
                said = row | {"response": f"<think> Let me see. </think> {form}"}
                yield {"group": f"golds of {sample}: {name}", "right": True, "row": said}


def graded(rows: list[dict[str, Any]], source: Path) -> list[bool]:
    """Whether the grader of the study in `source` finds each response correct."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, "-c", GRADER]
    done = subprocess.run(command, input=json.dumps(rows), env=environment, cwd=source, capture_output=True, text=True)
    return [line == "True" for line in done.stdout.split()]


def main(commit: str) -> None:
    cases = [*kinds(), *golds(Path(os.environ["STUDY_DATA"]))]
    rows = [case["row"] for case in cases]
    old_rows = [row | {"answer_type": "text"} if row["choices"] else row for row in rows]  # the name that it had then
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", commit, "studylib"], cwd=ROOT, capture_output=True, check=True
        ).stdout
        tarfile.open(fileobj=io.BytesIO(archive)).extractall(folder, filter="data")
        verdicts = {"before": graded(old_rows, Path(folder)), "now": graded(rows, ROOT)}
    table = pd.DataFrame({"fault": [c["group"] for c in cases], "right": [c["right"] for c in cases], **verdicts})
    for column in verdicts:
        table[column] = 100.0 * (table[column] == table["right"])
    shares = table.groupby("fault", sort=False).agg(
        answers=("right", "size"), before=("before", "mean"), now=("now", "mean")
    )
    shares.to_csv(ROOT / "outputs" / "grading" / "faults.csv", float_format="%.1f")


if __name__ == "__main__":
    main(sys.argv[1])
