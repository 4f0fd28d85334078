"""The golds of real questions: each is reached by natural forms of its own answer."""

import json
import os
import re
from pathlib import Path

import pytest

from studylib.grading import forms, grade_many, quantities
from studylib.grading.rules import gold_text

NUMBER = re.compile(r"^\s*\$*(-?(?:\d[\d.,]*|\\frac\{[^{}]*\}\{[^{}]*\}))\$*\s*[a-zA-Z\u00b0][a-zA-Z\u00b0 ]*\.?$")


@pytest.fixture(scope="module")
def data() -> Path:
    if "STUDY_DATA" not in os.environ:
        pytest.skip("STUDY_DATA is not set: it names the folder that holds k12_sample and mathv_sample.")
    return Path(os.environ["STUDY_DATA"])


def natural_forms(answer: str, choices: list[str]) -> list[str]:
    """The answer as it stands in a box; short in a box, without labels and units; and as a sentence, or part by part
    in boxes of their own. Of a worked solution what it arrives at, of alternatives the first."""
    gold = forms.alternatives(forms.unremarked(gold_text(answer)))[0].strip().rstrip(".")
    if choices:
        return [rf"\boxed{{{gold}}}", rf"\boxed{{\text{{Option }} {gold}}}", f"The answer is ({gold})."]
    parts = [part.value for part in forms.parts(gold).parts]
    short = [NUMBER.sub(r"\1", part) if quantities.parse(part) else part for part in parts]
    apart = " and then ".join(rf"\boxed{{{part}}}" for part in parts)
    sentence = apart if len(parts) > 1 else f"So much for the figure. The answer is {gold}."
    return [rf"\boxed{{{answer}}}", rf"\boxed{{{', '.join(short)}}}", sentence]


@pytest.mark.parametrize("sample", ["k12_sample", "mathv_sample"])
def test_every_gold_is_reached_by_three_natural_forms(sample, data):
    lines = (data / sample / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = []
    for question in map(json.loads, lines):
        choices = question.get("choices") or []
        kind = {"question_type": "multi_choice", "answer_type": "letter"} if choices else {"question_type": "free_form"}
        row = {"question": question["question"], "choices": choices, "answer": question["answer"]} | kind
        said = natural_forms(question["answer"], choices)
        rows += [row | {"response": f"<think> Let me see. </think> {form}"} for form in said]
    grades = grade_many(rows, jobs=2)
    missed = [
        (row["answer"], row["response"]) for row, grade in zip(rows, grades, strict=True) if grade.outcome != "correct"
    ]
    assert missed == []
    assert len(rows) == 3 * len(lines) > 200


def test_another_number_in_the_same_forms_is_wrong(data):
    lines = (data / "k12_sample" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    golds = [a for a in (json.loads(line)["answer"] for line in lines) if quantities.parse(a)]
    row = {"question": "", "question_type": "free_form", "choices": []}
    rows = [row | {"answer": gold, "response": rf"\boxed{{{quantities.parse(gold).value + 7}}}"} for gold in golds]
    assert [r["answer"] for r, g in zip(rows, grade_many(rows), strict=True) if g.outcome == "correct"] == []
    assert len(golds) > 30
