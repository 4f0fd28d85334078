"""Answers side by side: steps are marked by the scene's program, and nothing of an answer becomes markup."""

import json
import random
import re

import pandas as pd
import pytest

from studylib.figures import answers
from studylib.study.results import Results
from studylib.world.questions import benchmark_rows
from studylib.world.tasks import Task
from studylib.world.teachers import careful


@pytest.fixture(scope="module")
def question() -> dict:
    sizes = {"test": 3, "validation": 0, "train": 0}
    return next(iter(benchmark_rows("MiniVision", sizes, seed=5, wanted="test")))


def sample(question: dict, arm: str, text: str, correct: float, number: int = 0) -> dict:
    of = {"question_id": question["id"], "benchmark": question["benchmark"], "problem": question["problem"]}
    rest = {"arm": arm, "seed": 1, "sample": number, "tokens": 9, "finish_reason": "stop"}
    return {**of, **rest, "text": text, "correct": correct, "outcome": "correct" if correct else "wrong"}


def test_a_teachers_steps_are_right_and_a_slip_is_marked_wrong(question):
    program = json.loads(question["scene"])
    text = careful(Task(**program), random.Random(1), 0.0).text
    steps = answers.spans(text, program)
    assert len(steps) > 3 and all(right for _, _, right in steps)
    start, end, _ = next(step for step in steps if re.search("makes|leaves", text[step[0] : step[1]]))
    slip = text[:start] + re.sub(r"(makes|leaves) \d+", r"\1 97", text[start:end]) + text[end:]
    assert not dict((text_at, right) for text_at, _, right in answers.spans(slip, program))[start]
    assert answers.WRONG in answers.marked(slip, program) and answers.WRONG not in answers.marked(text, program)


def test_what_a_model_writes_is_shown_and_not_run(question):
    rows = pd.DataFrame([sample(question, "rl", "<think>1<2 <script>alert(1)</script></think>", 0.0)])
    page = answers.side_by_side(question, "L1", rows)
    assert "&lt;script&gt;" in page and "<script" not in page and "data:image/png" in page


def test_the_sample_shown_ends_as_most_do(question):
    rows = [sample(question, "rl", f"answer {i}", correct, i) for i, correct in enumerate((1.0, 0.0, 0.0))]
    page = answers.side_by_side(question, "L1", pd.DataFrame(rows))
    assert "answer 1" in page and "answer 0" not in page and "1 of 3 samples right" in page


def test_a_question_is_picked_by_outcome_and_by_level():
    names = ["q1", "q2", "q3"]
    rates = {"base": [1, 1, 0], "sft_eureka": [1, 0, 0]}
    rows = [
        sample({"id": name, "benchmark": "MiniStar", "problem": name}, arm, "", float(rate))
        for arm in rates
        for name, rate in zip(names, rates[arm], strict=True)
    ]
    scores = pd.DataFrame(rows)
    levels = pd.DataFrame({"question_id": names, "benchmark": "MiniStar", "level": ["L1", "L1", "L5"]})
    r = Results(("sft_eureka",), scores, scores, levels, scores, levels, None, (1,), "")
    assert r.pick(right=["base"], wrong=["sft_eureka"]) == "q2"
    assert r.pick(right=["base"], wrong=["sft_eureka"], level="L5") == "q3"  # comes closest there
    assert r.pick(right=["base"], wrong=["sft_eureka"], level="L3") == "q2"  # where there is none, anywhere
