"""Whether a free-form answer equals the gold answer: text, plain numbers, lists; the rest is for math-verify."""

import re
from collections.abc import Callable

from studylib.grading import numbers
from studylib.grading.clean import tidy

Symbolic = Callable[[str, str], bool]
MAX_EXPRESSION = 1000
_PLAIN_WORDS = re.compile(r"^[^\W\d_][^\d\\^_={}<>+*/]*$")


def squeeze(text: str) -> str:
    text = re.sub(r"\s+", "", tidy(text))
    return text.casefold() if len(text) > 1 else text


def equal(gold: str, answer: str, precision: float | None, unit: str | None, symbolic: Symbolic) -> bool:
    """Whether `answer` equals `gold`. `precision` is the number of decimals that count, `unit` the unit that the
    question asks for. `symbolic(gold, answer)` decides where plain reading cannot; it may raise."""
    if squeeze(gold) == squeeze(answer):
        return bool(squeeze(answer))
    ours, theirs = numbers.parse(gold), numbers.parse(answer)
    if ours and theirs:
        return numbers.same(ours, theirs, precision, unit)
    if len(answer) > MAX_EXPRESSION or not answer.strip():
        return False
    if ours and not re.search(r"\d|\\|pi|e\b", answer):
        return False
    if _PLAIN_WORDS.match(tidy(gold)) and _PLAIN_WORDS.match(tidy(answer)) and len(tidy(gold)) > 2:
        return False
    return symbolic(gold, answer)


def is_list(text: str) -> bool:
    """Whether a gold answer names several things: a list, tuple, set, or "a and b"."""
    return numbers.parse(text) is None and bool(re.search(r"[,;]|\\cup|\\pm|\b(?:and|or)\b|\\boxed.*\\boxed", text))
