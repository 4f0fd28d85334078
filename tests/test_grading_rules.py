"""What the rules take for an answer, and what they call right."""

import pytest

from studylib.grading import grade

CHOICE = {
    "question": "Which object is the largest?",
    "question_type": "multi_choice",
    "choices": ["red cube", "blue ball", "green cone", "none of these"],
    "answer": "B",
    "answer_type": "letter",
}
YES_NO = CHOICE | {
    "question": "Are there fewer red cars than blue buses?",
    "choices": ["Yes", "No"],
    "answer": "Yes",
    "answer_type": "text",
}
FREE = {
    "question": "How many cubes are left after you remove 3 of the 8 cubes?",
    "question_type": "free_form",
    "choices": [],
    "answer": "5",
    "answer_type": "integer",
}


def outcome(row: dict, response: str, finish_reason: str = "stop", **fields: object) -> str:
    return grade(row | fields, response, finish_reason).outcome


@pytest.mark.parametrize(
    "response",
    [
        "B", "(B)", "b.", "**B**", "[B]", "Answer: (B)", "**Answer**: B. blue ball", r"\boxed{\text{B}}",
        r"$\boxed{\textbf{(B)}~\text{blue ball}}$", r"\boxed{blue ball}", "So the answer is blue ball.",
        "The largest object is the blue ball.", "It is the blue balls.", "故选：B", "选项B正确", "所以答案为 (B)",
        "<answer> (B) blue ball </answer>", '{"answer": "B"}', "B is the correct answer.", "Hence B.",
        "Thus, the correct answer is:\n\n**B. blue ball**", "A is not right; the answer is B.",
        "It cannot be red cube, so it is blue ball.", "Answer: B\n\nExplanation: the red cube (A) is small.",
        "The correct answer is B, not A.", "The answer is B.", "<think> red? no. </think> \\boxed{B}",
        "The answer is (A).\nWait, that is the small one.\nThe answer is (B).",
    ],
)  # fmt: skip
def test_an_option_is_found_by_letter_by_text_and_in_prose(response):
    assert outcome(CHOICE, response) == "correct"


@pytest.mark.parametrize(
    "response",
    ["A", "A or B", r"\boxed{A, B}", "I cannot tell.", "The red cube and the blue ball.", "Not the blue ball",
     "The answer is not B.", "Blue", "", "(A) red cube\n(B) blue ball", "(E) blue ball\n(F) red ball"],
)  # fmt: skip
def test_no_option_is_guessed(response):
    assert outcome(CHOICE, response) in {"wrong", "unparsed"}


def test_equal_options_are_all_right_and_letters_mean_places():
    twice = CHOICE | {"choices": ["9", "18", "12", "18"], "answer": "18", "answer_type": "text"}
    assert [outcome(twice, letter) for letter in "ABCD"] == ["wrong", "correct", "wrong", "correct"]
    permuted = CHOICE | {"choices": ["C", "A", "B"], "answer": "B"}
    assert outcome(permuted, "The answer is B.") == "correct"
    assert outcome(permuted, "The answer is A.") == "wrong"


def test_the_value_of_an_option_is_the_option():
    row = CHOICE | {"choices": ["$\\frac{1}{2}$", "1:1", "$6 \\mathrm{~cm}$"]}
    assert outcome(row, r"\boxed{0.5}", answer="A") == "correct"
    assert outcome(row, r"\boxed{1}", answer="B") == "correct"
    assert outcome(row, r"\boxed{6}", answer="C") == "correct"
    assert outcome(row, r"\boxed{7}", answer="C") == "wrong"


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("There are fewer red cars than blue buses.", "correct"),
        ("There are not fewer red cars than blue buses.", "wrong"),
        ("There are more red cars than blue buses.", "wrong"),
        ("No, there are more.", "wrong"),
        ("It is impossible to say if there are fewer red cars than blue buses.", "unparsed"),
    ],
)
def test_a_restated_yes_no_question_is_an_answer(response, expected):
    assert outcome(YES_NO, response) == expected


@pytest.mark.parametrize(
    "response",
    [
        "5", "5.0", "five", "There are five cubes left.", "8 - 3 = 5", "So we get x = 5.", r"\boxed{5 \text{ cubes}}",
        r"\boxed{8-3=5}", r"\boxed{x=5}", "The answer is $5$ cubes.", "#### 5", "A: 5", "**Answer: 5**", "答案是5",
        "There are 5 cubes left after you remove 3 of the 8 cubes.", "剩下5个立方体。", r"\boxed{\frac{10}{2}}",
        "The answer is 5!", '{"answer": 5}', "The answer is:\n$$5$$", r"\boxed{5\%}", r"\boxed{5^\circ}",
        "3+4=7. 7-2=5. The answer is 5.", "<think> 8-3=6? No, 8-3=5. </think> \\boxed{5}", r"\boxed{\sqrt{25}}",
        r"\boxed{4} was my first idea, but it is \boxed{5}",
    ],
)  # fmt: skip
def test_a_number_is_found_wherever_it_is_stated(response):
    assert outcome(FREE, response) == "correct"


@pytest.mark.parametrize(
    "response",
    ["50", "-5", "5/2", r"\boxed{5x}", r"\boxed{5!}", "5 or 6", r"\boxed{5, 6}", r"\boxed{5} or \boxed{6}", "not 5",
     "between 5 and 6", "more than 5", "The answer is not 5.", r"\boxed{x>5}", "5^2", "", "5e3", "5,000"],
)  # fmt: skip
def test_another_value_or_a_hedge_is_not_right(response):
    assert outcome(FREE, response) in {"wrong", "unparsed"}


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("1234", "1,234", True), ("1.234", "1,234", False), ("10{,}000", "10000", True),
        ("1000.99", "1000,99", True), ("0.5", r"\frac{1}{2}", True), ("918.5", r"918\frac{1}{2}", True),
        ("1/3", "0.333", True), ("5.001", "5", False),
        ("28%", "28 percent", True), ("0.6", "60%", True), ("10 m", "1000 cm", True), ("10 m", "10 cm", False),
        ("4t", "4", False), ("0.64N", "0.64", False), ("780", r"7.8\times 10^2", True), ("(1,2)", "(2,1)", False),
        ("{1,2}", r"\{2,1\}", True), ("[0,1)", "(0,1)", False),
        (r"\frac{x+2}{7}", r"\frac{x}{7}+\frac{2}{7}", True),
        ("x=1", "1", True), ("x=1", "x=2", False), (r"\sqrt{2}", "1.414", True), (r"\sqrt{2}", "1.41", False),
        ("Evelyn", r"\text{Evelyn}", True), ("Evelyn", "Briana", False), ("7:32", "7/32", True),
    ],
)  # fmt: skip
def test_equality_of_values_units_lists_and_intervals(gold, answer, right):
    assert (outcome(FREE, rf"\boxed{{{answer}}}", answer=gold) == "correct") == right


def test_the_precision_of_the_question_is_its_tolerance():
    assert outcome(FREE, "The answer is 2.14.", answer="2.1", precision=1.0) == "correct"
    assert outcome(FREE, "The answer is 2.16.", answer="2.1", precision=1.0) == "wrong"
    assert outcome(FREE, "The answer is 2.14.", answer="2.1") == "wrong"


@pytest.mark.parametrize(
    ("response", "finish_reason", "expected"),
    [
        ("<think> 8-3=5, so the answer is \\boxed{5}", "stop", "truncated"),
        ("<think> a </think> b <think> \\boxed{5}", "stop", "truncated"),
        ("8-3=5. The answer is 5.", "length", "truncated"),
        ("The answer is \\boxed{5", "stop", "truncated"),
        ("\\boxed{5} as \\boxed{", "stop", "truncated"),
        ("<think> 8-3=5. \\boxed{5} </think>", "stop", "correct"),
        ("<think> 8-3=5. </think>", "stop", "unparsed"),
        ("8-3=5. </think> \\boxed{5}", "stop", "correct"),
    ],
)
def test_what_was_cut_off_is_truncated_and_never_an_answer(response, finish_reason, expected):
    assert outcome(FREE, response, finish_reason) == expected


def test_the_answer_of_a_next_question_is_not_read():
    assert outcome(FREE, "The answer is 5.\n\nQuestion: How many balls?\n\nThe answer is 9.") == "correct"
