r"""Reward of the paper: 0.9 * accuracy + 0.1 * format (section 2.2).

The paper does not state the format rule. Ours: the response is one <think>...</think> block, then text with
one closed \boxed{}, and neither occurs anywhere else.
"""

from __future__ import annotations

import re

from studylib.grading import grade

ACCURACY, FORMAT = 0.9, 0.1
_SHAPE = re.compile(r"\s*<think>(?P<thought>.*?)</think>(?P<answer>.*)", re.DOTALL)


def accuracy(row: dict, response: str, finish_reason: str = "stop") -> float:
    """1.0 if the response answers the question row correctly; a truncated one never does."""
    return float(grade(row, response, finish_reason).outcome == "correct")


def well_formed(response: str) -> float:
    """1.0 if the response is one thought and then one boxed answer."""
    shape = _SHAPE.fullmatch(response)
    if shape is None or "<think>" in shape["thought"] + shape["answer"] or "</think>" in shape["answer"]:
        return 0.0
    return float(r"\boxed" not in shape["thought"] and _boxes(shape["answer"]) == 1)


def _boxes(text: str) -> int:
    """Number of closed boxes; -1 if one is left open."""
    count = 0
    for start in (m.end() for m in re.finditer(r"\\boxed\{", text)):
        depth = 1
        for letter in text[start:]:
            depth += (letter == "{") - (letter == "}")
            if depth == 0:
                break
        if depth:
            return -1
        count += 1
    return count


def reward(row: dict, response: str, finish_reason: str = "stop") -> float:
    """0.9 * accuracy + 0.1 * format, between 0 and 1."""
    return ACCURACY * accuracy(row, response, finish_reason) + FORMAT * well_formed(response)
