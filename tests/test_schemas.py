"""Rows as other people's files hold them: each test is a kind of fault that real datasets have."""

import json

import pytest

from studylib.data import schemas
from studylib.data.raw import mended, split_choices
from studylib.errors import StudyError
from studylib.grading import grade


def outcome(row: dict, answer: str) -> str:
    return grade({"precision": None, "unit": None, **row}, f"\\boxed{{{answer}}}").outcome


def query(question: str = "How many?", answer: object = "7", **columns) -> dict:
    return schemas.query({"question": question, "answer": answer, **columns})


@pytest.mark.parametrize(
    "text, choices",
    [
        ("How large?\nChoices:\n(A) 145°\n(B) 35°", ["145°", "35°"]),
        ("Is it so? Options: A: Yes, B: No", ["Yes", "No"]),
        ("Which one?\nA. A: the first\nB. 3, B: 4", ["A: the first", "3, B: 4"]),
        ("Find x. A. 1 B. 2 C. 3", ["1", "2", "3"]),
        ("求x（ ）A．1B．2 C．3", ["1", "2", "3"]),
        ("Which?\n（A）red （B）blue", ["red", "blue"]),
        ("Which hold?\nChoices:\nA:first\nB:\nC:third", ["first", "", "third"]),
        ("Which graph? A. B. C. D.", ["A", "B", "C", "D"]),  # its choices are in the picture
        ("Choices: A. x B. y\nC. z", ["x", "y", "z"]),
        ("Options are listed in table A: which is best?", []),
        ("Masses are A: 3 kg, B: 4 kg, C: 5 kg; which is heaviest?", []),
        ("Blood type A. B. is next.", []),
        ("Find the angle at A.", []),
    ],
)
def test_choices_in_a_text_are_told_by_their_labels(text, choices):
    assert split_choices(text)[1] == choices


def test_letter_or_text_is_decided_by_the_dataset_where_options_are_letters():
    options = ["E", "A", "C"]
    by_letter, by_text = schemas.choice_answer("A", options), schemas.choice_answer("A", options, by_text=True)
    assert (by_letter["answer"], by_text["answer"], by_letter["answer_type"]) == ("A", "B", "letter")
    row = {"question": "Which?", **by_letter}
    assert [outcome(row, each) for each in "ABC"] == ["correct", "wrong", "wrong"]


@pytest.mark.parametrize("answer", ["C", "(C)", "C．", "Option C", "C. 150", "150", "c", ["C"]])
def test_a_choice_is_named_by_letter_text_or_both(answer):
    assert schemas.choice_answer(answer, ["30", "60", "150"])["answer"] == "C"


@pytest.mark.parametrize("answer", ["A\nC", "A, C", "C and A", "AC", "['A', 'C']"])
def test_two_right_choices_are_wanted_both(answer):
    row = {"question": "Which two?", **schemas.choice_answer(answer, ["tan", "sin", "cot", "cos"])}
    assert row["answer"] == "A, C"
    assert [outcome(row, each) for each in ("A, C", "\\text{C and A}", "A", "B, C")] == ["correct"] * 2 + ["wrong"] * 2


def test_mmmu_takes_any_of_the_forms_that_it_lists_and_no_interval_for_a_list():
    row = {"id": "v", "question": "Where?", "options": "[]", "question_type": "open"}
    several = schemas.mmmu({**row, "answer": "['Lisbon', 'Portugal']"})
    assert [outcome(several, each) for each in ("Lisbon", "Portugal", "Spain")] == ["correct", "correct", "wrong"]
    assert schemas.mmmu({**row, "answer": "[0, 1)"})["answer"] == "[0, 1)"
    lettered = schemas.mmmu({**row, "question": "Where? A. Rome B. Oslo", "answer": "B"})
    assert (lettered["choices"], lettered["question_type"]) == (["Rome", "Oslo"], "multi_choice")


@pytest.mark.parametrize("answer", [None, "", " ", float("nan"), "None", "nan", [], "[]", {"a": 1}, ["7", "8"], [None]])
def test_no_answer_is_refused_and_never_the_word_none(answer):
    with pytest.raises(StudyError, match="it has no answer|which of them is right is not known"):
        query(answer=answer)


@pytest.mark.parametrize("answer, gold", [(["7"], "7"), ("['7']", "7"), (7, "7"), ("[7]", "[7]"), ("\\boxed{7}", "7")])
def test_an_answer_is_read_out_of_what_holds_it(answer, gold):
    assert query(answer=answer)["answer"] == gold


def test_eaten_backslashes_come_back_where_that_is_clear():
    eaten = "\frac{1}{2} \beta 3\times 4 \rho $a\neq b$ $h\nu$ \text{cm} \angle \vec{a}"
    assert mended(eaten) == (r"\frac{1}{2} \beta 3\times 4 \rho $a\neq b$ $h\nu$ \text{cm} \angle \vec{a}")
    for text in ("one\ttwo\r\nthree", "a\nu-turn", "first\neach", "x\tan apple", "−3\n0.25"):
        assert mended(text) == text


@pytest.mark.parametrize("field", ["question", "answer"])
def test_special_tokens_are_refused(field):
    with pytest.raises(StudyError, match=r"special token <\|image_pad\|>"):
        query(**{field: "7 <|image_pad|>"})
    trace = {"question": "?", "solution": "", "thinking_trajectories": ["Hm"], "attempt": "So <|im_end|>"}
    with pytest.raises(StudyError, match=r"special token <\|im_end\|>"):
        schemas.s1k(trace)


def test_a_trace_may_be_a_text_and_must_be_one():
    row = {"question": "2 + 2?", "solution": None, "attempt": "So 4"}
    assert schemas.s1k({**row, "thinking_trajectories": "Hm"})["trace"] == "<think> Hm </think> So 4"
    for nothing in (None, "", [], ["a", "b"]):
        with pytest.raises(StudyError, match="its thinking is no text"):
            schemas.s1k({**row, "thinking_trajectories": nothing})


USER = {"role": "user", "content": "<image>2 + 2?"}
PARTS = {"role": "user", "content": [{"type": "image", "image": "file://a.png"}, {"type": "text", "text": "2 + 2?"}]}


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "system", "content": "Think."}, USER, {"role": "assistant", "content": "\\boxed{4}"}]},
        {"conversations": [{"from": "human", "value": "<image>2 + 2?"}, {"from": "gpt", "value": "4"}]},
        {"message": json.dumps([PARTS]), "answer": "4"},
    ],
)
def test_chats_are_rows_too(row):
    read = schemas.query(row)
    assert (read["question"], read["answer"]) == ("2 + 2?", "4")


def test_a_chat_s_reasoning_is_a_trace_and_two_questions_are_refused():
    answer = {"role": "assistant", "content": "<think> Two twos. </think> So \\boxed{4}"}
    assert schemas.s1k_r1({"messages": [USER, answer]})["trace"] == "<think> Two twos. </think> So \\boxed{4}"
    with pytest.raises(StudyError, match="its messages are 2 questions and 0 answers"):
        schemas.query({"messages": [USER, USER], "answer": "4"})


def test_one_of_several_pictures_is_named_where_the_text_shows_it():
    assert query("<image>\n<image>Which is larger?")["question"] == "Which is larger?"
    assert query("Is <image> larger than <image>?")["question"] == "Is [picture 1] larger than [picture 2]?"


@pytest.mark.parametrize(
    ("options", "choices"),
    [
        ({"A": "1", "B": "2", "C": None}, ["1", "2"]),
        (r"['$\frac{1}{2}$', '2']".replace("\\", "\\"), [r"$\frac{1}{2}$", "2"]),
        (["(A) red", "(B) blue"], ["red", "blue"]),
        (["<image>", "<image>"], ["A", "B"]),
        (["<image1> shows it", "<image2> does"], ["[picture 1] shows it", "[picture 2] does"]),
        (["", ""], ["A", "B"]),
        ('["1", null]', ["1", ""]),
    ],
)
def test_options_are_read_from_whatever_holds_them(options, choices):
    assert schemas.query({"question": "Which?", "answer": "A", "options": options})["choices"] == choices


@pytest.mark.parametrize("answer", ["<answer>7</answer>", "3 + 4 = 7\n#### 7", "<answer> \\boxed{7} </answer>"])
def test_a_gold_answer_is_taken_out_of_its_tags(answer):
    assert schemas.query({"question": "?", "answer": answer})["answer"] == "7"


def test_a_trace_has_its_tags_once():
    row = {"question": "1 + 1?", "solution": float("nan"), "attempt": "<think>one and one</think> 2"}
    trace = schemas.s1k({**row, "thinking_trajectories": ["<think>one and one</think>"]})
    assert (trace["trace"], trace["answer"]) == ("<think> one and one </think> 2", "")


@pytest.mark.parametrize(
    ("precision", "read"), [("", None), (float("nan"), None), (None, None), ("2", 2.0), (1.0, 1.0)]
)
def test_a_precision_is_a_number_or_none(precision, read):
    row = {"pid": "1", "question": "How long?", "choices": None, "unit": float("nan"), "answer": "1.5"}
    row |= {"question_type": "free_form", "answer_type": "float", "precision": precision}
    question = schemas.mathvista(row)
    assert (question["precision"], question["unit"], question["question"]) == (read, None, "How long?")


def test_half_a_character_does_not_reach_a_table():
    schemas.query({"question": "How many \ud83d?", "answer": "1"})["question"].encode()
