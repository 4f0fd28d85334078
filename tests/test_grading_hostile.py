"""Nothing that a response holds may hang, crash or fool the grader."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studylib.grading import OUTCOMES, grade

FREE = {"question": "How many?", "question_type": "free_form", "choices": [], "answer": "7"}
CHOICE = {"question_type": "multi_choice", "choices": ["one", "two", "three"], "answer": "B"}
MB = 1_000_000
HOSTILE = {
    "letters": "a" * MB, "digits": "7" * MB, "spaces": "answer" + " " * MB + "is", "lines": "\n" * MB + ".",
    "statements": "the answer is " * 70_000, "dollars": "$ " * 500_000, "brackets": "(A) " * 250_000,
    "nested braces": r"\boxed{" + "{" * 10_000 + "7" + "}" * 10_000 + "}", "open braces": "{" * MB,
    "open boxes": r"\boxed{" * 100_000, "nested boxes": r"\boxed{" * 5_000 + "8" + "}" * 5_000,
    "thinking": "<think>" * 100_000, "text macros": r"\text{" * 100_000, "commas": "1," * 400_000,
    "a box of digits": r"\boxed{" + "7" * MB + "}", "questions": "\nQuestion: " * 90_000, "yes": "yes. " * 200_000,
    "a macro of itself": r"\def\a{\a\a}\boxed{\a}", "a new macro": r"\newcommand{\x}{\x\x}\boxed{\x}",
    "tower": r"\boxed{9^{9^{9^9}}}", "python tower": "The answer is 9**9**9**9",
    "great power": r"\boxed{10^{999999999}}",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _worker_is_up():
    grade(FREE, r"\boxed{3+4}")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("row", [FREE, CHOICE, FREE | {"answer": r"\frac{1}{2}"}], ids=["free", "choice", "latex"])
def test_a_hostile_response_is_graded_in_two_seconds_of_this_process(name, row):
    start = time.process_time()
    result = grade(row, HOSTILE[name])
    assert time.process_time() - start < 2
    assert result.outcome in OUTCOMES and result.outcome != "correct"


@pytest.mark.parametrize(
    "response",
    [r"\boxed{10000000!}", r"\boxed{(x+1)^{5000}}", r"\boxed{\int_0^1 \sin(x^{x^x}) dx}",
     r"\boxed{\sum_{n=1}^{\infty} \frac{1}{n^n}}", r"\boxed{" + r"\sqrt{" * 120 + "2" + "}" * 120 + "}"],
)  # fmt: skip
def test_an_expression_without_end_costs_its_row_and_no_other(response):
    assert grade(FREE, response).outcome in {"wrong", "grader error"}
    assert grade(FREE, r"\boxed{3+4}").outcome == "correct"


def test_five_thousand_boxes_of_one_answer_are_that_answer():
    assert grade(FREE, r"\boxed{7}" * 5_000) == ("7", "correct", "boxed")


@pytest.mark.parametrize(
    "response",
    ["\\boxed{\x007\x00}", "\ud800\\boxed{7}\udfff", "\\boxed{\u202e7\u202c}", "\uff17", "\u0667", "\\boxed{\u06f7}",
     "\u200b7\ufeff", "\\boxed{\u200f7}"],
)  # fmt: skip
def test_odd_characters_around_or_for_digits_do_not_matter(response):
    assert grade(FREE, response).outcome == "correct"


@pytest.mark.parametrize(
    "code", ['__import__("os").system("touch {0}")', "$(touch {0})", 'open("{0}","w")', "`touch {0}`"]
)
@pytest.mark.parametrize("frame", [r"\boxed{{{0}}}", "The answer is {0}", "{0}", "${0}$"])
def test_code_in_an_answer_is_never_run(code, frame, tmp_path):
    target = tmp_path / "touched"
    assert grade(FREE, frame.format(code.format(target))).outcome in {"wrong", "unparsed"}
    assert not target.exists()


def test_thousands_of_options_are_searched_by_letter_text_and_value():
    row = {"question_type": "multi_choice", "choices": [f"{3 * i} cm" for i in range(5_000)], "answer": "2997 cm"}
    row["answer_type"] = "text"
    assert grade(row, r"\boxed{2997}").outcome == "correct"
    assert grade(row, r"\boxed{3000}").outcome == "wrong"
    assert grade(row, "I do not know.").outcome == "unparsed"


pieces = st.sampled_from(
    ["\\boxed{", "}", "{", "$", "<think>", "</think>", "answer is", "\\frac", "7", "B", "(B)", "=", "\\\\", "\n", "%",
     "^", ",", "or", "not", "\\text{", "\\begin{pmatrix}", "&", "٧", "7", "\x00", "\ud800", "Question:"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(pieces | st.text(max_size=4), max_size=25).map("".join))
def test_no_text_makes_it_raise(response):
    for row in (FREE, CHOICE):
        assert grade(row, response).outcome in OUTCOMES


golds = (
    st.integers(-(10**12), 10**12).map(str)
    | st.decimals(-(10**6), 10**6, places=3, allow_nan=False).map(str)
    | st.tuples(st.integers(-99, 99), st.integers(1, 99)).map(lambda p: rf"\frac{{{p[0]}}}{{{p[1]}}}")
    | st.text("abcxyz +-*/=()[]{}^_\\,0123456789", min_size=1).filter(str.strip)
)


@settings(max_examples=100, deadline=None)
@given(golds)
def test_the_text_of_the_gold_is_always_right(gold):
    assert grade(FREE | {"answer": gold}, gold).outcome == "correct"


@settings(max_examples=60, deadline=None)
@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6), st.integers(0, 400))
def test_the_answer_to_another_question_is_never_right_by_its_length(gold, off, repeats):
    other = f"We have {gold}. " * repeats + f"\\boxed{{{gold + off}}}"
    assert grade(FREE | {"answer": str(gold)}, other).outcome == "wrong"


@settings(max_examples=60, deadline=None)
@given(st.integers(-(10**6), 10**6))
def test_a_boxed_gold_is_right_in_any_dress(gold):
    for text in (
        f"\\boxed{{{gold}}}",
        f"$\\boxed{{{gold:,}}}$",
        f"The answer is {gold}.",
        f"<answer>{gold}.0</answer>",
    ):
        assert grade(FREE | {"answer": str(gold)}, text).outcome == "correct"
