"""Whether a free-form answer equals the gold answer: text, plain numbers, lists; the rest is for
math-verify."""

import re
from collections.abc import Callable

from studylib.grading import quantities
from studylib.grading.clean import tidy
from studylib.grading.values import is_expression

Symbolic = Callable[[str, str], bool]
MAX_EXPRESSION = 1000
_PLAIN_WORDS = re.compile(r"^[^\W\d_][^\d\\^_={}<>+*/]*$")
_EQUALS = re.compile(r"(?<![<>!:\\])=(?!=)")
_NAME = re.compile(r"^\\?[A-Za-z]+(?:_(?:\w|\{[^{}]*\}))?'?\s*(?:\([^()=]*\))?$")
_POWERS = re.compile(r"^[\d\s{}()]+(?:\^|\*\*)[\d\s{}()^*]+$")
_TOWER = re.compile(r"(?:\^|\*\*)[\s{(]*(?:\d+[\s})]*(?:\^|\*\*)|\d{5,})")
_SEVERAL = re.compile(r"[,;]|\\text|\band\b|or")
_ABOUT = re.compile(r"\\approx|\\simeq|≈|≃")


def squeeze(text: str) -> str:
    """The text without spaces and typography; case counts only for a single letter."""
    text = re.sub(r"\s+", "", tidy(text))
    return text.casefold() if len(text) > 1 else text


def equal(gold: str, answer: str, precision: float | None, unit: str | None, symbolic: Symbolic) -> bool:
    """Whether `answer` equals `gold`. `precision` is the number of decimals that count, `unit` the unit that
    the question asks for. `symbolic(gold, answer)` decides where plain reading cannot; it may raise."""
    if squeeze(gold) == squeeze(answer):
        return bool(squeeze(answer))
    if len(answer) > MAX_EXPRESSION or not answer.strip():
        return False
    return any(_same(g, a, precision, unit, symbolic) for g, a in _sides(gold, answer))


def _sides(gold: str, answer: str) -> list[tuple[str, str]]:
    """What is to be compared with what: a name and "=" before either is dropped; of "x = a = b" the last
    side is the answer, unless the gold is an equation; of "a, about b" either may be."""
    parts = _EQUALS.split(gold)
    sides = _EQUALS.split(answer)
    if len(parts) == 2 and _NAME.match(tidy(parts[0])) and not _SEVERAL.search(gold):
        if len(sides) == 1 or _NAME.match(tidy(sides[0])):
            gold, answer = parts[1], sides[-1]
    elif len(parts) == 1 and len(sides) > 1 and not _SEVERAL.search(answer) and not _ABOUT.search(answer):
        answer = sides[-1]
    about = [side for side in _ABOUT.split(answer) if side.strip(" $")]
    if len(about) > 1 and not _ABOUT.search(gold):
        last = [_EQUALS.split(side)[-1] if len(parts) == 1 else side for side in (about[0], about[-1])]
        return [(gold, side) for side in last]
    return [(gold, answer)]


def _same(gold: str, answer: str, precision: float | None, unit: str | None, symbolic: Symbolic) -> bool:
    if squeeze(gold) == squeeze(answer):
        return True
    if beyond_reckoning(gold) != beyond_reckoning(answer):
        return False
    ours, theirs = quantities.parse(gold), quantities.parse(answer)
    if ours and theirs:
        return quantities.same(ours, theirs, precision, unit)
    if ours and "\\" not in answer and not is_expression(tidy(answer)):
        return False
    if len(tidy(gold)) > 2 and _PLAIN_WORDS.match(tidy(gold)) and _PLAIN_WORDS.match(tidy(answer)):
        return False
    return symbolic(gold, answer)


def beyond_reckoning(text: str) -> bool:
    """Whether `text` is a bare power of powers, or one with an exponent of five digits: it equals nothing
    that can be written out, and nobody should try."""
    text = tidy(text)
    return bool(_POWERS.match(text) and _TOWER.search(text))


def is_list(text: str) -> bool:
    """Whether a gold answer names several things: a list, tuple, set, or "a and b"."""
    return quantities.parse(text) is None and bool(re.search(r"[,;]|\\cup|\\pm|\b(?:and|or)\b|\\boxed.*\\boxed", text))
