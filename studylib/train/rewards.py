r"""Reward of the paper: 0.9 * accuracy + 0.1 * format (section 2.2).

The paper does not state the format rule. Ours: the response is one <think>...</think> block, then text with one
closed box; both hold something, and neither occurs anywhere else.
"""

import re

from studylib.grading import grade
from studylib.grading.clean import tidy
from studylib.grading.extract import boxes

ACCURACY, FORMAT = 0.9, 0.1
_SHAPE = re.compile(r"\s*<think>(?P<thought>.*?)</think>(?P<answer>.*)", re.DOTALL)


def outcome(row: dict, response: str, finish_reason: str = "stop") -> str:
    """What the grader says of a response to a question row: "correct", "wrong", "truncated", "grader error" ..."""
    return grade(row, response, finish_reason).outcome


def accuracy(row: dict, response: str, finish_reason: str = "stop") -> float:
    """1.0 if the response answers the question row correctly; a truncated one never does."""
    return float(outcome(row, response, finish_reason) == "correct")


def well_formed(response: str) -> float:
    """1.0 if the response is one thought and then one boxed answer, a box being what the grader takes for one."""
    shape = _SHAPE.fullmatch(response)
    if shape is None or "<think>" in shape["thought"] + shape["answer"] or "</think>" in shape["answer"]:
        return 0.0
    inside, (closed, unclosed) = boxes(shape["thought"])[0], boxes(shape["answer"])
    return float(
        bool(shape["thought"].strip()) and not inside and unclosed is None and _answers(closed) == 1 == len(closed)
    )


def _answers(contents: list[tuple[int, int, str]]) -> int:
    return sum(bool(tidy(content)) for _, _, content in contents)


def reward(row: dict, response: str, finish_reason: str = "stop") -> float:
    """0.9 * accuracy + 0.1 * format, between 0 and 1."""
    return ACCURACY * accuracy(row, response, finish_reason) + FORMAT * well_formed(response)
