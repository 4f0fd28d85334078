"""Whether a free-form answer equals the gold answer: text, plain numbers, lists; the rest is for math-verify."""

import re
from collections.abc import Callable

from studylib.grading import numbers
from studylib.grading.clean import tidy

Symbolic = Callable[[str, str], bool]
MAX_EXPRESSION = 1000
_PLAIN_WORDS = re.compile(r"^[^\W\d_][^\d\\^_={}<>+*/]*$")
_EQUALS = re.compile(r"(?<![<>!:\\])=(?!=)")
_ABOUT = re.compile(r"\\approx|\\simeq|≈|≃")


def squeeze(text: str) -> str:
    """The text without spaces and typography; case counts only for a single letter."""
    text = re.sub(r"\s+", "", tidy(text))
    return text.casefold() if len(text) > 1 else text


def equal(gold: str, answer: str, precision: float | None, unit: str | None, symbolic: Symbolic) -> bool:
    """Whether `answer` equals `gold`. `precision` is the number of decimals that count, `unit` the unit that the
    question asks for. `symbolic(gold, answer)` decides where plain reading cannot; it may raise. Of "x = a = b" the
    right-hand side is the answer, unless the gold is an equation; of "a, about b" either may be."""
    if squeeze(gold) == squeeze(answer):
        return bool(squeeze(answer))
    if len(answer) > MAX_EXPRESSION or not answer.strip():
        return False
    about = _ABOUT.split(answer)
    if len(about) > 1 and not _ABOUT.search(gold):
        sides = [side for side in (about[0], about[-1]) if side.strip(" $")]
        return any(equal(gold, side, precision, unit, symbolic) for side in sides)
    if _EQUALS.search(answer) and not _EQUALS.search(gold) and not re.search(r"[,;]|\\text|\band\b|or", answer):
        return equal(gold, _EQUALS.split(answer)[-1], precision, unit, symbolic)
    ours, theirs = numbers.parse(gold), numbers.parse(answer)
    if ours and theirs:
        return numbers.same(ours, theirs, precision, unit)
    if ours and not re.search(r"\d|\\|pi|e\b", answer):
        return False
    if _PLAIN_WORDS.match(tidy(gold)) and _PLAIN_WORDS.match(tidy(answer)) and len(tidy(gold)) > 2:
        return False
    return symbolic(gold, answer)


def is_list(text: str) -> bool:
    """Whether a gold answer names several things: a list, tuple, set, or "a and b"."""
    return numbers.parse(text) is None and bool(re.search(r"[,;]|\\cup|\\pm|\b(?:and|or)\b|\\boxed.*\\boxed", text))
