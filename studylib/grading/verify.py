"""Whether a free-form answer equals the gold answer: text, plain numbers, parts, notations; the rest is for
math-verify."""

import re
from collections.abc import Callable, Sequence
from functools import partial

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
_POWERS = re.compile(r"^[\d\s{}()]+(?:\^|\*\*)[\d\s{}()^*]+$")
_TOWER = re.compile(r"(?:\^|\*\*)[\s{(]*(?:\d+[\s})]*(?:\^|\*\*)|\d{5,})")
_SEVERAL = re.compile(r"[,;]|\\text|\band\b|or")
_ABOUT = re.compile(r"\\approx|\\simeq|≈|≃")
_ARTICLE = re.compile(r"^(?:an?|the)\s+", re.I)
_PLURAL = re.compile(r"(?<=[a-z]{3})(?:(?:(?<=[sxz])|(?<=[cs]h))es|(?<!s)s)$")


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
    if forms.mirrored(tidy(gold), tidy(answer)):
        return True
    return any(same(g, a) for g, a in _sides(gold, answer)) or _digits_with_commas(gold, answer, same)


def _digits_with_commas(gold: str, answer: str, same: Same) -> bool:
    """Whether "120,240" and "240,120" are two numbers each: commas that might have marked thousands or decimals."""
    if not all(re.fullmatch(r"\$*\s*\d+(?:\s*,\s*\d+)+\s*\.?\$*", text.strip()) for text in (gold, answer)):
        return False
    return _parts(forms.parts(gold, hard=True), forms.parts(answer, hard=True), same)


def _parts(gold: forms.Parts, answer: forms.Parts, same: Same) -> bool:
    """Part by part: by label where both sides name them, in order where the gold's order says which is which or
    only one side has names, else as a bag."""
    ours, theirs = gold.parts, answer.parts
    if len(ours) != len(theirs):
        return False
    labels = [part.label for part in ours]
    if all(labels) and sorted(labels) == sorted(part.label for part in theirs) and len(set(labels)) == len(labels):
        named = {part.label: part.value for part in theirs}
        return all(same(part.value, named[part.label]) for part in ours)
    if all(same(g.value, a.value) for g, a in zip(ours, theirs, strict=True)):
        return True
    if gold.ordered or any(labels) or len(ours) > 12:
        return False
    left = [part.value for part in theirs]
    for part in ours:
        place = next((i for i, value in enumerate(left) if same(part.value, value)), None)
        if place is None:
            return False
        del left[place]
    return True


def _sides(gold: str, answer: str) -> list[tuple[str, str]]:
    """What is to be compared with what: a name and "=" before either is dropped; of "x = a = b" the last
    side is the answer, unless the gold is an equation; of "a, about b" either may be."""
    parts = _EQUALS.split(gold)
    sides = _EQUALS.split(answer)
    if len(parts) == 2 and _NAME.match(tidy(parts[0])) and not _NAMED.match(tidy(parts[1])) and not _SEVERAL.search(gold):
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
    """Whether both are ratios, unions of intervals or tuples whose terms are the same."""
    ratios = forms.ratio(gold), forms.ratio(answer)
    if all(ratios) and len(ratios[0]) == len(ratios[1]):
        values = [forms.numbers(terms) for terms in ratios]
        if all(values) and all(number.value > 0 for terms in values for number in terms):
            ours, theirs = ([number.value / terms[0].value for number in terms] for terms in values)
            return ours == theirs
    unions = forms.union(gold), forms.union(answer)
    if all(unions) and (unions[0][0] == unions[1][0] or not unions[0][0] or not unions[1][0]):
        return _unions(unions[0][1], unions[1][1], same)
    tuples = forms.components(gold), forms.components(answer)
    if all(tuples) and tuples[0][0] == tuples[1][0] and len(tuples[0][1]) == len(tuples[1][1]):
        return all(same(g, a) for g, a in zip(tuples[0][1], tuples[1][1], strict=True))
    return False


def _unions(gold: Sequence[forms.Interval], answer: Sequence[forms.Interval], same: Same) -> bool:
    def ends(ours: str, theirs: str) -> bool:
        return ours == theirs or not (forms.endless(ours) or forms.endless(theirs)) and same(ours, theirs)

    left = list(answer)
    for ours in gold:
        for theirs in left:
            if (ours.opening, ours.closing) == (theirs.opening, theirs.closing):
                if ends(ours.low, theirs.low) and ends(ours.high, theirs.high):
                    left.remove(theirs)
                    break
        else:
            return False
    return not left


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
    return "\\mid" not in text and ":" not in text if text.startswith("\\{") else False if re.match(r"^\(.*,.*\)$", text) else None
