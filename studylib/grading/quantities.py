"""Plain numbers, read exactly: integers, decimals, fractions, percents, powers of ten, with their unit."""

import re
from dataclasses import dataclass
from fractions import Fraction

from studylib.grading.clean import tidy

_WORDS = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen twenty".split()
    )
} | {
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
    "hundred": 100,
}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
NUMBER_WORD = r"\b(?:" + "|".join(_WORDS) + r")\b"

_DIGITS = r"(?:[1-9]\d{0,2}(?:,\d{3})+(?!\d)|[1-9]\d{0,2}(?: \d{3})+(?![\d/])|\d+)(?:\.\d+)?|\.\d+"
_ARGUMENT = r"\s*(?:\{\s*(-?[\d,.]+)\s*\}|(\d))"
_FRACTION = re.compile(r"\\frac" + _ARGUMENT + _ARGUMENT)
_LEAD = re.compile(
    r"^(?:(?:approximately|approx\.?|about|around|roughly|nearly|exactly|only|it'?s|\\approx|\\simeq|≈|=|is|are|rs\.?)\s*"
    r"|[a-z](?:_\{?\w{1,3}\}?)?\s*(?:=|\\approx|≈)\s*)+",
    re.I,
)
_PLAIN = re.compile(rf"^(?P<sign>[-+]?)\s*[€£¥₹]?\s*(?P<digits>{_DIGITS})(?P<rest>.*)$", re.S)
_MIXED = re.compile(r"^(\d+)\s*/\s*(\d+)(?![\d.])(.*)$", re.S)
_POWER = re.compile(
    r"^(?:(?:\\times|\\cdot|\*|×|x|·)\s*10\s*\^\s*\{?\s*([-+]?\d{1,3})\s*\}?|e([-+]?\d{1,3})(?!\w))\s*(.*)$",
    re.S,
)
_LETTER = r"[a-zA-Zµμ°ΩÅ\u4e00-\u9fff'\"]"
_RAISED = r"(?:\^\s*\{?\s*-?\s*[1-9]\}?)?"
_UNIT = re.compile(
    rf"^(?:[-€£¥₹]?{_LETTER}[a-zA-Zµμ°ΩÅ\u4e00-\u9fff'\"./*²³() -]{{0,60}}{_RAISED}(?:\s*/\s*[a-zA-Z]+{_RAISED})?"
    r"|[€£¥₹²³'\"]|)\.?$"
)
_NO_UNIT = re.compile(
    r"(?:or|and|to|by|of|out|in|plus|minus|over|more|less|squared|cubed|factorial|mod|pi|sqrt|sin|cos|tan|log|ln)\b",
    re.I,
)
_LETTER_UNITS = frozenset("mgLlsNJWVAKCFhc")


@dataclass(frozen=True)
class Number:
    """An exact value with what was written beside it. `decimals` is None for a fraction, else the digits
    written after the point; `percent` means the value is in hundredths (28 for 28 %)."""

    value: Fraction
    decimals: int | None = 0
    digits: int = 1
    percent: bool = False
    unit: str = ""


def parse(text: str) -> Number | None:
    """`text` as a plain number, or None where it is anything else (or longer than 300 characters)."""
    if len(text) > 300:
        return None
    text = _LEAD.sub("", tidy(text))
    if text[:1] == "(" and text[-1:] == ")" and text.count("(") == 1:
        text = text[1:-1].strip()
    if text[:1] == "{" and text[-1:] == "}" and text.count("{") == 1:
        text = text[1:-1].strip()
    word = re.match(rf"({NUMBER_WORD})(?:[ -]({NUMBER_WORD}))?(?!-)(.*)$", text.lower(), re.S)
    if word:
        first, second = _WORDS[word[1]], _WORDS.get(word[2] or "")
        if second is None or (first >= 20 and second < 10):
            return _with_rest(Fraction(first + (second or 0)), 0, 2, word[3].strip())
        return None
    sign = -1 if text.startswith("-") else 1
    fraction = _FRACTION.match(text.lstrip("-+ "))
    if fraction:
        return _fraction(fraction, sign, Fraction(0), text.lstrip("-+ ")[fraction.end() :])
    plain = _PLAIN.match(text)
    if not plain:
        return None
    digits, rest = plain["digits"].replace(",", "").replace(" ", ""), plain["rest"]
    value, decimals = sign * Fraction(digits), len(digits.partition(".")[2])
    if decimals == 0:
        fraction = _FRACTION.match(rest.lstrip())
        if fraction:
            return _fraction(fraction, sign, abs(value), rest.lstrip()[fraction.end() :])
        divided = re.match(r"^\s*[/:]\s*(\d+)(?![\d.,:])(.*)$", rest, re.S)
        if divided and int(divided[1]):
            return _with_rest(value / int(divided[1]), None, 9, divided[2])
        mixed = _MIXED.match(rest.lstrip())
        if mixed and int(mixed[2]) and rest[:1] == " ":
            return _with_rest(sign * (abs(value) + Fraction(int(mixed[1]), int(mixed[2]))), None, 9, mixed[3])
    comma = re.match(r"^,(\d{1,2}|\d{4,}|\d{3})(?!\d)(.*)$", rest, re.S)
    if comma and decimals == 0 and (len(comma[1]) != 3 or digits == "0" or len(digits) > 3):
        value, decimals, rest = sign * Fraction(f"{digits}.{comma[1]}"), len(comma[1]), comma[2]
    return _with_rest(value, decimals, len(digits.replace(".", "").lstrip("0")) or 1, rest)


def _fraction(match: re.Match[str], sign: int, whole: Fraction, rest: str) -> Number | None:
    try:
        top, bottom = (Fraction(part.replace(",", "")) for part in match.groups() if part is not None)
        return _with_rest(sign * (whole + top / bottom), None, 9, rest)
    except (ValueError, ZeroDivisionError):
        return None


def _with_rest(value: Fraction, decimals: int | None, digits: int, rest: str) -> Number | None:
    """The number with what follows it: a power of ten, a scale word, a percent sign or a unit; None where
    that is anything else (a variable, an operator)."""
    rest, glued = rest.strip(), rest[:1].isalpha()
    power = _POWER.match(rest)
    if power:
        exponent = int(power[1] or power[2])
        value, decimals, rest = (
            value * Fraction(10) ** exponent,
            None if exponent < 0 else 0,
            power[3].strip(),
        )
    word = re.match(r"(hundred|thousand|million|billion|trillion)\b\s*(.*)$", rest, re.S | re.I)
    if word:
        value, rest = value * _SCALES[word[1].lower()], word[2].strip()
    percent = re.match(r"(?:%|percent(?:age)?\b|per cent\b|pct\b)\s*(.*)$", rest, re.S | re.I)
    if percent:
        return (
            Number(value, decimals, digits, True, "")
            if len(percent[1]) < 60 and not re.search(r"\d", percent[1])
            else None
        )
    unit = rest.rstrip(".")
    if not _UNIT.match(rest) or _NO_UNIT.match(rest) or (len(unit) == 1 and not _may_be_unit(unit)):
        return None
    if glued and unit.isalpha() and len(unit) > 1 and _known(unit) is None and len(unit) < 4:
        return None
    return Number(value, decimals, digits, False, unit)


def _may_be_unit(letter: str) -> bool:
    return not letter.isascii() or not letter.isalpha() or letter in _LETTER_UNITS


_DIMENSIONS = {
    "length": {"mm": "0.001", "cm": "0.01", "dm": "0.1", "m": "1", "km": "1000", "meter": "1", "metre": "1",
               "centimeter": "0.01", "centimetre": "0.01", "millimeter": "0.001", "kilometer": "1000",
               "inch": "0.0254", "inches": "0.0254", "foot": "0.3048", "feet": "0.3048", "ft": "0.3048",
               "yard": "0.9144", "mile": "1609.344"},
    "mass": {"mg": "0.000001", "g": "0.001", "kg": "1", "gram": "0.001", "kilogram": "1"},
    "time": {"second": "1", "sec": "1", "minute": "60", "min": "60", "hour": "3600", "hr": "3600",
             "day": "86400"},
    "volume": {"ml": "0.001", "milliliter": "0.001", "l": "1", "liter": "1", "litre": "1"},
}  # fmt: skip
_SCALE_OF = {u: (kind, Fraction(x)) for kind, units in _DIMENSIONS.items() for u, x in units.items()}


def _known(unit: str) -> tuple[str, Fraction] | None:
    unit = unit.strip().lower()
    return _SCALE_OF.get(unit) or (_SCALE_OF.get(unit[:-1]) if unit.endswith("s") and len(unit) > 3 else None)


def same(gold: Number, answer: Number, precision: float | None, unit: str | None) -> bool:
    """Whether two numbers agree. Exactly, unless the question has a `precision` (decimals to round to) or
    one side is a fraction and the other a decimal of three digits or more that rounds it. A percent agrees
    with its hundredths and with its bare figure; known units of one dimension are converted, other units
    are let be."""
    ours, theirs = _known(gold.unit or unit or ""), _known(answer.unit)
    value = answer.value
    if len(gold.unit) == 1 and gold.unit.isalpha() and not answer.unit:
        return False
    if ours and theirs:
        if ours[0] != theirs[0]:
            return False
        value = value * theirs[1] / ours[1]
    values = [value]
    if gold.percent != answer.percent:
        values.append(value / 100 if answer.percent else value * 100)
    return any(_close(gold, answer, v, precision) for v in values)


def _close(gold: Number, answer: Number, value: Fraction, precision: float | None) -> bool:
    if gold.value == value:
        return True
    if precision is not None:
        return abs(gold.value - value) * 2 <= Fraction(1, 10 ** int(precision))
    for exact, rounded in ((gold, answer), (answer, gold)):
        if exact.decimals is None and rounded.decimals and rounded.digits >= 3:
            return abs(gold.value - value) * 2 <= Fraction(1, 10**rounded.decimals)
    return False
