"""Plain numbers, read exactly: integers, decimals, fractions, percents, powers of ten, with their unit."""

import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from studylib.grading.clean import tidy

_WORDS = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen twenty".split()
    )
} | dict(zip("thirty forty fifty sixty seventy eighty ninety hundred".split(), range(30, 101, 10), strict=True))
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
    r"(?:or|and|to|by|of|out|in(?=\s+[a-z])|plus|minus|over|more|less|squared|cubed|factorial|mod|pi|sqrt|sin|cos|tan|log|ln)\b",
    re.I,
)
_LETTER_UNITS = frozenset("mgLlsNJWVAKCFhc")
_PLAINLY_UNITS = frozenset("mgLlsJWVAh")  # an answer may leave these away; 4t and 0.64N keep their letter
_RECURRING = re.compile(
    r"^(?P<sign>[-+]?)(?P<whole>\d*)\.(?P<head>\d*?)"
    r"(?:\\(?:overline|bar)\s*\{?(?P<over>\d+)\}?|\((?P<round>\d+)\)"
    r"|\\dot\s*\{?(?P<first>\d)\}?(?:(?P<middle>\d*)\\dot\s*\{?(?P<last>\d)\}?)?"
    r"|(?P<seen>\d)(?P=seen){2,}\\ldots|(?P<cycle>\d{2,}?)(?P=cycle)+\\ldots)$"
)
_SEXAGESIMAL = re.compile(r"^(-?\d+) ?degrees ?(\d+(?:\.\d+)?) ?'(?: ?(\d+(?:\.\d+)?) ?(?:\"|''))?$")
_FEET = re.compile(r"^(\d+) ?(?:'|ft|feet|foot) ?(\d+(?:\.\d+)?) ?(?:\"|''|in|inch|inches)$")


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
    return None if len(text) > 300 else _parsed(text)


@lru_cache(maxsize=20_000)
def _parsed(text: str) -> Number | None:
    text = _LEAD.sub("", tidy(text))
    if text[:1] == "(" and text[-1:] == ")" and text.count("(") == 1:
        text = text[1:-1].strip()
    if text[:1] == "{" and text[-1:] == "}" and text.count("{") == 1:
        text = text[1:-1].strip()
    special = _special(text) if text[-1:] in "\"'})snh" or "\\" in text else None
    if special:
        return special
    text = text.removesuffix("\\ldots")
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


def _special(text: str) -> Number | None:
    """A recurring decimal (as the fraction that it is), degrees with minutes, or feet with inches."""
    recurring = _RECURRING.match(text)
    if recurring:
        part = recurring.groupdict(default="")
        period = part["over"] or part["round"] or part["seen"] or part["cycle"]
        period = period or part["first"] + part["middle"] + part["last"]
        head = Fraction(int(part["whole"] + part["head"] or "0"), 10 ** len(part["head"]))
        value = head + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(part["head"]))
        return Number(-value if part["sign"] == "-" else value, None, 9)
    arc = _SEXAGESIMAL.match(text)
    if arc:
        degrees, minutes, seconds = (Fraction(part or "0") for part in arc.groups())
        part = minutes / 60 + seconds / 3600
        return Number(degrees - part if text[0] == "-" else degrees + part, None, 9, False, "degrees")
    feet = _FEET.match(text)
    return Number(12 * Fraction(feet[1]) + Fraction(feet[2]), None, 9, False, "inches") if feet else None


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
    rest = rest.replace("\\cdot", "*") if rest[:1].isalpha() else rest
    unit = rest.rstrip(".")
    if not _UNIT.match(rest) or _NO_UNIT.match(rest) or (len(unit) == 1 and not _may_be_unit(unit)):
        return None
    if glued and unit.isalpha() and len(unit) > 1 and _known(unit) is None and len(unit) < 4:
        return None
    return Number(value, decimals, digits, False, unit)


def _may_be_unit(letter: str) -> bool:
    return not letter.isascii() or not letter.isalpha() or letter in _LETTER_UNITS


# Scale and dimension of what is written as a unit; SI symbols take prefixes, words take them spelt out.
_POWER_OF = {"N": "kg m / s s", "J": "kg m m / s s", "W": "kg m m / s s s", "L": "m m m"}
_NAMES = (
    "m meter metre=1 m; g gram=0.001 kg; s=1 s; L l liter litre=0.001 L; N newton=1 N; J joule=1 J; W watt=1 W; "
    "V volt=1 V; A=1 A; Hz=1 / s; Pa=1 kg / m s s"
)
_WHOLE_NAMES = (
    "inch inches in=0.0254 m; foot feet ft=0.3048 m; yard=0.9144 m; mile=1609.344 m; second sec=1 s; minute min=60 s; "
    "hour hr h=3600 s; day=86400 s; week=604800 s; mph=0.44704 m / s; kph kmh=5/18 m / s"
)


def _table(names: str) -> dict[str, tuple[str, str]]:
    entries = (entry.split("=") for entry in names.split("; "))
    units = ((left.split(), *right.split(" ", 1)) for left, right in entries)
    return {name: (scale, _POWER_OF.get(base, base)) for left, scale, base in units for name in left}


_ATOMS, _WHOLE = _table(_NAMES), _table(_WHOLE_NAMES)
_PREFIXES = {"k": "1000", "c": "0.01", "d": "0.1", "m": "0.001", "µ": "0.000001", "μ": "0.000001", "M": "1000000"}
_PREFIXES |= {"kilo": "1000", "centi": "0.01", "deci": "0.1", "milli": "0.001", "mega": "1000000"}
_FACTOR = re.compile(
    r"(/|\bper\b)|(square|sq\.?|cubic)\s|([a-zA-Zµμ]+)\.?\s*(?:\^\s*\{?\s*(-?[1-9])\}?|(squared|cubed))?"
)
_AFTER_FORMULA = re.compile(r"^(.*(?:[\d})\]]|\\pi))\s*(?<!\\)\b([a-zA-Z][a-zA-Z/ ]*(?:\^\{?-?\d\}?)?)$", re.S)
_NAMELESS = frozenset(("degrees", "units", "square units", "cubic units"))
_TIMES = {"square": 2, "sq": 2, "sq.": 2, "cubic": 3, "squared": 2, "cubed": 3}


def _atom(name: str) -> tuple[str, str, str] | None:
    """Prefix factor, scale and dimension of one unit name; case counts where both cases are units."""
    for form in dict.fromkeys((name, name.lower(), name.lower().rstrip("s") if len(name) > 2 else name)):
        if form in _WHOLE:
            return ("1", *_WHOLE[form])
        if form in _ATOMS:
            return ("1", *_ATOMS[form])
        for prefix, factor in _PREFIXES.items():
            rest = form.removeprefix(prefix)
            if rest != form and rest in _ATOMS and (len(prefix) > 1) == (len(rest) > 2):
                return (factor, *_ATOMS[rest])
    return None


@lru_cache(maxsize=4096)
def _known(unit: str) -> tuple[tuple[tuple[str, int], ...], Fraction] | None:
    """Dimension (powers of base units) and scale of a unit, simple or compound; None where any part is unknown."""
    scale, powers, sign, raised, end = Fraction(1), Counter(), 1, 1, 0
    for factor in _FACTOR.finditer(unit):
        if unit[end : factor.start()].strip(" *.()"):
            return None
        end = factor.end()
        if factor[1]:
            sign = -1
            continue
        if factor[2]:
            raised = _TIMES[factor[2]]
            continue
        atom = _atom(factor[3])
        if atom is None:
            return None
        power = sign * raised * (int(factor[4]) if factor[4] else _TIMES.get(factor[5], 1))
        scale *= (Fraction(atom[0]) * Fraction(atom[1])) ** power
        above, _, below = atom[2].partition("/")
        for base in above.split():
            powers[base] += power
        for base in below.split():
            powers[base] -= power
        raised = 1
    if not end or unit[end:].strip(" .()"):
        return None
    return tuple(sorted((base, power) for base, power in powers.items() if power)), scale


def unit_of(text: str) -> tuple[str, str]:
    """A formula that is no plain number, and the known unit written after it ("" for none): `2\\pi cm`."""
    match = _AFTER_FORMULA.match(text)
    return (match[1], match[2]) if match and (_known(match[2]) or match[2] in _NAMELESS) else (text, "")


def same(gold: Number, answer: Number, precision: float | None, unit: str | None) -> bool:
    """Whether two numbers agree. Exactly, unless the question has a `precision` (decimals to round to) or
    one side is a fraction and the other a decimal of three digits or more that rounds it. A percent agrees
    with its hundredths and with its bare figure; known units of one dimension are converted, other units
    are let be."""
    ours, theirs = _known(gold.unit or unit or ""), _known(answer.unit)
    value = answer.value
    if len(gold.unit) == 1 and gold.unit.isalpha() and not answer.unit and gold.unit not in _PLAINLY_UNITS:
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
