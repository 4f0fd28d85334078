"""The value that a statement or a closing sentence gives, for questions without options."""

import re

from studylib.grading import quantities
from studylib.grading.clean import tidy

_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan log ln exp sqrt frac mod gcd lcm max min det lim sum "
    "prod infty and cup cap setminus pm inf begin end pmatrix bmatrix vmatrix matrix array left right".split()
)
_MATH = re.compile(r"\$\$([^$]+)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.S)
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(
    rf"(?<![\w.\\])-?[$€£]?(?:{_DIGITS})(?:\s?/\s?\d+|\s*(?:%|percent\b)|\s?(?:million|billion|thousand)\b)?"
    rf"|{quantities.NUMBER_WORD}",
    re.I,
)
_COPULAS = (
    re.compile(r"\b(?:is|are|was|were|equals?|gives?)\b|[=≈]|\\approx|\\equiv", re.I),
    re.compile(r"\b(?:be|by|has|have|of)\b|:", re.I),
)
_SAYING = re.compile(r"\b(?:is|are|was|were|be|equals?)\b(?! not)|[=:]|[是为]", re.I)
_SO = re.compile(r"\b(?:therefore|thus|hence|so)\b,?(?! (?:that|far|much|many)\b)(?=\s+\S)", re.I)
_NOT_THIS = r"(?:不[是为等]|\b(?:not|(?:more|less|fewer|greater|larger|smaller) than)\b)"
_UNLIKE, _OTHERWISE = re.compile(rf"\W*{_NOT_THIS}", re.I), re.compile(rf"{_NOT_THIS}\W*$", re.I)
_RANGE = re.compile(rf"\b(?:between|from)\s+({_DIGITS})\s*(?:and|to|-)\s*({_DIGITS})", re.I)
_OPERATOR = re.compile(r"\s*(?:[-+*/^=×÷·<>]|\\(?:times|cdot|div|pm)|x\s*\d)")


def is_expression(text: str) -> bool:
    """Whether `text` is a formula, list or value by itself, without a word of prose."""
    words = re.findall(
        r"[A-Za-z]{3,}|\b(?:[Ii][ts]|[Ss]o|[Ww]e|an|of|be)\b|[\u0400-\u04ff\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]",
        re.sub(r"\\[a-zA-Z]+", " ", text),
    )
    return bool(re.search(r"[\d\\^=]|\bpi\b", text)) and all(word.lower() in _FUNCTIONS for word in words)


def formulas(text: str) -> list[re.Match[str]]:
    return list(_MATH.finditer(text))


def _inside(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group)


def phrases_in(text: str) -> list[str]:
    """What `text` may be saying in words: what follows each of its first "is", "are", ":" or "=", and all of it."""
    whole = tidy(text)
    ends = [m.end() for m in list(_SAYING.finditer(whole))[:6]]
    return [whole, *(whole[end:].strip() for end in ends)]


def value_in(text: str, question: str = "") -> str | None:
    """The value that `text` states: all of it where it is one; else what follows its last "is", "=" or the
    like; else its last formula, or its number (of several, one that the question does not name). None: no
    value."""
    whole = tidy(text)
    if quantities.parse(whole) or is_expression(whole) or re.fullmatch(r"[A-Za-z]", whole):
        return whole
    opening = _opening(text)
    if opening:
        return opening
    clause = list(_SO.finditer(text))
    if clause and text[: clause[-1].start()].strip() and (value := value_in(text[clause[-1].end() :], question)):
        return value
    between = _RANGE.search(text)
    if between and len(_NUMBER.findall(text)) == 2:
        return f"{between[1]} to {between[2]}"
    math = formulas(text)
    spans = [m.span() for m in math]
    for copula in (c for kind in _COPULAS for c in reversed(list(kind.finditer(text))[-40:])):
        if any(a < copula.start() < b for a, b in spans):
            continue
        value = _opening(text[copula.end() : copula.end() + 200])
        if value and not _in_question(value, question):
            return value
    if math:
        return _inside(math[-1])
    numbers = [m[0] for m in _NUMBER.finditer(text) if not _OTHERWISE.search(text[: m.start()][-20:])]
    fresh = [number for number in numbers if not _in_question(number, question)] or numbers
    return fresh[-1] if fresh else (whole if re.search(r"\\(?:frac|sqrt|pi)", whole) else None)


def _opening(text: str) -> str | None:
    """The value with which `text` begins: a formula, a number that no operator follows, or all of it."""
    if _UNLIKE.match(text):
        return None
    text = re.sub(
        r"^[\s*:]{0,20}(?:about|approximately|around|only|exactly|equal to|therefore|thus|therefore,)?\s*",
        "",
        text,
    )
    math = _MATH.match(text)
    if math:
        return _inside(math)
    whole = tidy(text)
    if len(whole) <= 200 and (quantities.parse(whole) or is_expression(whole)):
        return whole
    number = _NUMBER.match(text)
    if number and not _OPERATOR.match(text[number.end() :]) and not re.match(r"[\w\\^(]", text[number.end() :]):
        return number[0]
    return None


def _in_question(value: str, question: str) -> bool:
    """Whether the question itself names this number (a sentence that repeats the question repeats it)."""
    number = quantities.parse(value)
    return number is not None and any(
        other is not None and other.value == number.value
        for other in (quantities.parse(m[0]) for m in _NUMBER.finditer(question[-2000:]))
    )
