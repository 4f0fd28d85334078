"""Agreement of the grader with other people's verdicts, and what other habits of grading would have said.

Reads the development rows that a reader may have (`dev.jsonl`, `answer_pairs_dev.jsonl`: fields and
licences in their README); tables hold only counts, ids and classes, never a row's text."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from studylib.analysis.stats import wilson
from studylib.errors import StudyError
from studylib.grading import OUTCOMES, grade_many
from studylib.grading.rules import FIELDS

FOLDER = Path(__file__).resolve().parents[2] / "outputs" / "grading"
KEY = ["source", "model", "id", "row"]
_THINK = re.compile(r"</?think>")


def committed(name: str) -> pd.DataFrame:
    """A table as committed, written by bench.grading_agreement and, faults, by bench.grading_faults."""
    return pd.read_csv(FOLDER / f"{name}.csv", keep_default_na=False)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file, each with its line number from 0 as `row`. Raises StudyError where it is
    missing."""
    if not path.is_file():
        raise StudyError(f"{path} does not exist: point STUDY_DATA at the folder that holds grading/.")
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) | {"row": number} for number, line in enumerate(lines)]


def grade_dev(data: Path, jobs: int = 1) -> pd.DataFrame:
    """One row a response of `data/grading/dev.jsonl`: KEY, question_type, verdict, outcome, how, agrees
    (bool)."""
    rows = read_rows(data / "grading" / "dev.jsonl")
    grades = pd.DataFrame([grade._asdict() for grade in grade_many(rows, jobs)])
    table = pd.DataFrame(rows)[[*KEY, "question_type", "verdict"]]
    table = table.assign(outcome=grades["outcome"], how=grades["how"])
    return table.assign(agrees=(table["outcome"] == "correct") == table["verdict"])


def grade_pairs(data: Path, jobs: int = 1) -> pd.DataFrame:
    """One row a pair of `data/grading/answer_pairs_dev.jsonl`: source, file, row, verdict, outcome,
    agrees."""
    rows = read_rows(data / "grading" / "answer_pairs_dev.jsonl")
    questions = [{"question_type": "free_form", "answer": r["gold"], "response": r["prediction"]} for r in rows]
    outcomes = [grade.outcome for grade in grade_many(questions, jobs)]
    table = pd.DataFrame(rows)[["source", "file", "row"]].assign(verdict=[r["equal"] for r in rows], outcome=outcomes)
    return table.assign(agrees=(table["outcome"] == "correct") == table["verdict"])


def disagreements(graded: pd.DataFrame, read: pd.DataFrame | None = None) -> pd.DataFrame:
    """The rows that do not agree, with the `class` and `why` that a reader gave them in `read`; one
    that nobody has read yet has the class "unread"."""
    table = graded[~graded["agrees"]].drop(columns="agrees").reset_index(drop=True)
    if read is None:
        return table.assign(**{"class": "unread", "why": ""})
    table = table.merge(read[["row", "class", "why"]], on="row", how="left")
    return table.assign(**{"class": table["class"].fillna("unread"), "why": table["why"].fillna("")})


def agreement(graded: pd.DataFrame, read: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Shares a cell of `by` and over all: rows, agreement with its Wilson interval, rows whose verdict is
    plainly wrong (class "theirs wrong" in `read`), agreement without those, and the share of each
    outcome."""
    wrong = graded["row"].isin(read.loc[read["class"] == "theirs wrong", "row"])
    graded = graded.assign(theirs_wrong=wrong)
    cells = [(("all",) * len(by), graded)] + [(key, cell) for key, cell in graded.groupby(list(by))]
    return pd.DataFrame([dict(zip(by, key, strict=True)) | _shares(cell) for key, cell in cells])


def _shares(cell: pd.DataFrame) -> dict[str, float]:
    kept = cell[~cell["theirs_wrong"]]
    low, high = wilson(int(cell["agrees"].sum()), len(cell))
    shares = {
        "rows": len(cell),
        "agreement": cell["agrees"].mean(),
        "low": low,
        "high": high,
        "theirs_wrong": int(cell["theirs_wrong"].sum()),
        "agreement_without": kept["agrees"].mean(),
    }
    return shares | {name: (cell["outcome"] == name).mean() for name in OUTCOMES}


def policies(rows: Sequence[Mapping[str, Any]], jobs: int = 1) -> pd.DataFrame:
    """What each habit of grading makes of the same responses: a row a response, a column a habit, values 0
    to 1 (NaN: the habit leaves the response out). `rows` carry `response` and, if known, `finish_reason`.

    ours: the grader as it is; box_only: nothing but a box counts; explicit_only: a box, a tag or a sentence
    that says "answer"; cut_as_answer: truncated text and unfinished thinking graded like any other;
    random_option: an unparsed choice scores 1 / options, as a guess would; unparsed_dropped: what is not
    parsed leaves the sample; judge_at_best: a judge that finds every unparsed response right."""
    grades = list(grade_many(rows, jobs))
    uncut = [{**row, "response": _THINK.sub(" ", row["response"] or ""), "finish_reason": "stop"} for row in rows]
    lenient = list(grade_many(uncut, jobs))
    options = [len(row["choices"]) if row.get("choices") is not None else 0 for row in rows]
    ours = pd.Series([float(g.outcome == "correct") for g in grades])
    how, outcome = pd.Series([g.how for g in grades]), pd.Series([g.outcome for g in grades])
    unparsed, cut = outcome == "unparsed", outcome == "truncated"
    guess = pd.Series([1 / n if n else 0.0 for n in options])
    return pd.DataFrame(
        {
            "ours": ours,
            "box_only": ours.where(how == "boxed", 0.0),
            "explicit_only": ours.where(how.isin(["boxed", "tagged", "stated"]), 0.0),
            "cut_as_answer": [float(g.outcome == "correct") for g in lenient],
            "random_option": ours.where(~unparsed, guess),
            "unparsed_dropped": ours.where(~(unparsed | cut)),
            "judge_at_best": ours.where(~unparsed, 1.0),
        }
    )


def study_habits(responses: pd.DataFrame, questions: pd.DataFrame, jobs: int = 1) -> pd.DataFrame:
    """Accuracy in % of each arm (row) under each habit of `policies` (column).

    responses: arm, question_id, text, finish_reason. questions: id and the fields that the grader reads.
    """
    known = questions.set_index("id").reindex(columns=list(FIELDS)).to_dict("index")
    columns = zip(responses["question_id"], responses["text"], responses["finish_reason"], strict=True)
    rows = [known[name] | {"response": text, "finish_reason": reason} for name, text, reason in columns]
    return 100 * policies(rows, jobs).groupby(responses["arm"].to_numpy()).mean().rename_axis("arm")
