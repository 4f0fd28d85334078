"""Whether a free-form answer equals the gold answer: text, plain numbers, parts, notations; the rest is for
math-verify."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from studylib.grading import forms, quantities
from studylib.grading.clean import tidy
from studylib.grading.values import is_expression

Symbolic = Callable[[str, str], bool]
MAX_EXPRESSION = 1000
_PLAIN_WORDS = re.compile(r"^[^\W\d_][^\d\\^_={}<>+*/]*$")
_EQUALS = re.compile(r"(?<![<>!:\\])=(?!=)")
_NAME = re.compile(
    r"^\\?[A-Za-z]+(?:\s*\{\s*[A-Za-z]\s*\})?(?:_(?:\w|\{[^{}]*\}))?'?\s*(?:\([^()=]*\))?$|^\\angle\s*[A-Z\d]{1,3}$"
)
_NAMED = re.compile(r"^(?:[A-Z]{2}|\\angle.*)$")
_ONE_FORMULA = re.compile(r"^[^$]*$|^\s*(\$+)[^$]*\1\s*$")
_DIGITS_AND_COMMAS = re.compile(r"^[\s$]*\d+(?:\s*,\s*\d+)+[\s.$]*$")
_POWERS = re.compile(r"^[\d\s{}()]+(?:\^|\*\*)[\d\s{}()^*]+$")
_TOWER = re.compile(r"(?:\^|\*\*)[\s{(]*(?:\d+[\s})]*(?:\^|\*\*)|\d{5,})")
_SEVERAL = re.compile(r"[,;]|\\text|\band\b|or")
_ABOUT = re.compile(r"\\approx|\\simeq|≈|≃")
_ARTICLE = re.compile(r"^(?:an?|the)\s+", re.I)
_PLURAL = re.compile(r"(?<=[a-z]{3})(?:(?:(?<=[sxz])|(?<=[cs]h))es|(?<!s)s)$")


def squeeze(text: str) -> str:
    """The text without spaces and typography; case counts only for a single letter."""
    text = "".join(tidy(text).split())
    return text.casefold() if len(text) > 1 else text


def equal(gold: str, answer: str, precision: float | None, unit: str | None, symbolic: Symbolic) -> bool:
    """Whether `answer` equals `gold`. `precision` is the number of decimals that count, `unit` the unit that
    the question asks for. `symbolic(gold, answer)` decides where plain reading cannot; it may raise."""
    if squeeze(gold) == squeeze(answer):
        return bool(squeeze(answer))
    if len(answer) > MAX_EXPRESSION or not answer.strip():
        return False
    same = partial(_same, precision=precision, unit=unit, symbolic=symbolic)
    return any(_equal(gold, answer, same) for gold in forms.alternatives(forms.unremarked(gold)))


Same = Callable[[str, str], bool]


def _equal(gold: str, answer: str, same: Same) -> bool:
    ours, theirs = forms.parts(gold), forms.parts(answer)
    if len(ours.parts) > 1:
        if _parts(ours, theirs, same):
            return True
        plain = all(forms.numbers([p.value for p in side.parts]) for side in (ours, theirs))
        if ours.sure or (plain and len(theirs.parts) > 1):
            return False
    if forms.mirrored(tidy(gold), tidy(answer)) or any(same(g, a) for g, a in _sides(gold, answer)):
        return True
    # "120,240" and "240,120": commas that might have marked thousands or decimals
    hard = all(map(_DIGITS_AND_COMMAS.match, (gold, answer)))
    return hard and _parts(forms.parts(gold, hard=True), forms.parts(answer, hard=True), same)


def _parts(gold: forms.Parts, answer: forms.Parts, same: Same) -> bool:
    """Part by part: by label where both sides name them, in order where the gold's order says which is which or
    only one side has names, else as a bag."""
    labels, others = ([part.label for part in side.parts] for side in (gold, answer))
    values, given = ([part.value for part in side.parts] for side in (gold, answer))
    if all(labels) and sorted(labels) == sorted(others) and len(set(labels)) == len(labels):
        given = [given[others.index(label)] for label in labels]
    if len(values) == len(given) and all(map(same, values, given)):
        return True
    return not (gold.ordered or any(labels)) and len(values) <= 12 and _bag(values, given, same)


def _bag(ours: Sequence[Any], theirs: Sequence[Any], same: Callable[[Any, Any], bool]) -> bool:
    """Whether two lists hold the same, in any order."""
    left = list(theirs)
    for one in ours:
        place = next((i for i, other in enumerate(left) if same(one, other)), None)
        if place is None:
            return False
        del left[place]
    return not left


def _sides(gold: str, answer: str) -> list[tuple[str, str]]:
    """What is to be compared with what: a name and "=" before either is dropped; of "x = a = b" the last
    side is the answer, unless the gold is an equation; of "a, about b" either may be."""
    parts = _EQUALS.split(gold)
    sides = _EQUALS.split(answer)
    if (
        len(parts) == 2
        and _NAME.match(tidy(parts[0]))
        and not _NAMED.match(tidy(parts[1]))
        and not _SEVERAL.search(gold)
    ):
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
    """Whether one value is another, in whatever notation."""
    if squeeze(gold) == squeeze(answer):
        return True
    if beyond_reckoning(gold) != beyond_reckoning(answer):
        return False
    number, other = quantities.parse(gold), quantities.parse(answer)
    if number and other:
        return quantities.same(number, other, precision, unit)
    gold, answer = forms.one_notation(gold), forms.one_notation(answer)
    if number and "\\" not in answer and not is_expression(tidy(answer)):
        return False
    plain = tidy(gold), tidy(answer)
    if len(plain[0]) > 2 and all(map(_PLAIN_WORDS.match, plain)):
        return _words(plain[0]) == _words(plain[1]) or forms.mirrored(*plain)
    if (len(plain[0]) == len(plain[1]) == 1 and "".join(plain).isalpha()) or {True, False} == set(map(_is_set, plain)):
        return False
    same = partial(_same, precision=precision, unit=unit, symbolic=symbolic)
    (bare, ours), (other, theirs) = map(quantities.unit_of, plain)
    if (len(ours) > 1 or len(theirs) > 1) and not (ours and theirs):
        return same(bare, other)
    if _other_notation(*plain, same):
        return True
    return symbolic(*(text.strip().rstrip(".") if _ONE_FORMULA.match(text) else tidy(text) for text in (gold, answer)))


def _other_notation(gold: str, answer: str, same: Same) -> bool:
    """Whether both are ratios, or tuples, intervals or unions of these, with the same terms."""
    ratios = forms.ratio(gold), forms.ratio(answer)
    if all(ratios) and ratios[0] == ratios[1]:
        return True

    def span(one: tuple[str, list[str]], other: tuple[str, list[str]]) -> bool:
        return one[0] == other[0] and len(one[1]) == len(other[1]) and all(map(same, one[1], other[1]))

    spans = forms.spans(gold), forms.spans(answer)
    names = {name for name, _ in filter(None, spans)} - {""}
    return all(spans) and len(names) < 2 and _bag(spans[0][1], spans[1][1], span)


def _words(text: str) -> str:
    """Words without their article and the plural of the last one."""
    return _PLURAL.sub("", _ARTICLE.sub("", text).casefold().rstrip(" .!"))


def beyond_reckoning(text: str) -> bool:
    """Whether `text` is a bare power of powers, or one with an exponent of five digits: it equals nothing
    that can be written out, and nobody should try."""
    text = tidy(text)
    return bool(_POWERS.match(text) and _TOWER.search(text))


def is_list(text: str) -> bool:
    """Whether a gold answer names several things: a list, tuple, set, or "a and b"."""
    return quantities.parse(text) is None and bool(re.search(r"[,;]|\\cup|\\pm|\b(?:and|or)\b|\\boxed.*\\boxed", text))


def _is_set(text: str) -> bool | None:
    """Whether `text` is a set in braces; None for what is neither a set nor a tuple."""
    return (
        "\\mid" not in text and ":" not in text
        if text.startswith("\\{")
        else False
        if re.match(r"^\(.*,.*\)$", text)
        else None
    )
