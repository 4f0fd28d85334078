"""Kinds of fault that other people's bug reports and real files found: `grading_kinds.jsonl` has for each some golds
with responses that must be accepted and responses that must stay refused."""

import json
from pathlib import Path

import pytest

from studylib.grading import grade

FREE = {"question": "", "question_type": "free_form", "choices": [], "answer_type": "text"}
CHOICE = FREE | {"question_type": "multi_choice", "answer_type": "letter"}
CASES = [json.loads(line) for line in Path(__file__).with_name("grading_kinds.jsonl").read_text().splitlines()]


def right(answer: str, response: str, **fields: object) -> bool:
    return grade(FREE | {"answer": answer} | fields, response).outcome == "correct"


def takes(choices: list[str], answer: str, response: str, **fields: object) -> bool:
    return grade(CHOICE | {"choices": choices, "answer": answer} | fields, response).outcome == "correct"


def boxed(answer: str) -> str:
    return f"<think> Let me see. </think> So \\boxed{{{answer}}}"


@pytest.mark.parametrize("case", CASES, ids=[f"{case['kind']}: {case['gold']!r}" for case in CASES])
def test_every_kind_accepts_what_is_right_and_refuses_what_is_not(case):
    dress = boxed if case.get("in_a_box") else str

    def correct(response: str) -> bool:
        if "choices" in case:
            return takes(case["choices"], case["gold"], response)
        return right(case["gold"], dress(response))

    assert [response for response in case["right"] if not correct(response)] == []
    assert [response for response in case["wrong"] if correct(response)] == []


def test_a_question_for_the_false_statement_is_answered_by_the_one_called_false():
    question = "Which of these statements is incorrect?"
    said = "A is correct. B is incorrect. C is correct. D is correct."
    assert takes(["15", "20", "25", "30"], "B", said, question=question)
    assert not takes(["15", "20", "25", "30"], "A", said, question=question)


def test_letter_or_text_is_what_the_loader_says():
    letters = ["E", "A", "C", "D"]
    assert [takes(letters, "A", boxed(x)) for x in "ABCD"] == [True, False, False, False]
    assert [takes(letters, "A", boxed(x), answer_type="text") for x in "ABCD"] == [False, True, False, False]


def test_any_of_several_answers_will_do():
    both = {"answers": ["Tampa", "Florida"]}
    assert [right("Tampa", boxed(x), **both) for x in ("Tampa", "Florida", "Texas")] == [True, True, False]
    several = {"answers": ["A", "C"]}
    assert [takes(["1", "2", "3"], "A", boxed(x), **several) for x in "ABC"] == [True, False, True]


@pytest.mark.parametrize(
    ("response", "expected"),
    [(boxed("C, D"), True), (boxed("D, C"), True), (boxed("CD"), True), (boxed(r"C \text{ and } D"), True),
     ("\\boxed{C} and \\boxed{D}", True), ("The answers are C and D.", True), ("C, D", True), (boxed("C"), False),
     (boxed("C, E"), False), (boxed("B, C, D"), False), ("C", False)],
)  # fmt: skip
def test_two_letters_wanted_together_are_compared_as_a_set(response, expected):
    assert takes(["1", "2", "3", "4", "5"], "C, D", response) == expected
