"""One object in several notations: answers of several parts, intervals and inequalities, ratios, vectors,
relations that read either way round. Everything here is text in, text (or texts) out; nothing is computed."""

import re
from fractions import Fraction
from typing import NamedTuple

from studylib.grading import quantities
from studylib.grading.clean import tidy

MAX_PARTS = 40
_NUMBERED = re.compile(r"(?:(?:^|(?<=[\s;,.:$|]))\((\d)\)|([\u2460-\u2468]))\s*:?\s*")
_CIRCLED = re.compile(r"^[\s,;]*(?:[\u2460-\u2473](?:[\s,;和]|and)*)+$|^(?:\d\.){2,}\d?$")
_THOUSANDS = re.compile(r"(?<!\d)\d{1,3}(?:,\d{3})+(?!\d)(?!,\d)")
_SEPARATOR = re.compile(r"[;\n]|,|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|\\text\s*\{\s*(?:and|or)\s*\}")
_MAY_BE_SEVERAL = re.compile(r"[;\n,\u2460-\u2473]|\(2\)|and|or|\\\\|\d\.\d\.\d")
_LABEL = re.compile(
    r"^(?:(?:so|thus|hence|therefore|where|with),?\s+)?(?:the\s+)?"
    r"(?:([^=<>:]{1,60}?)\s*(?:=|:|\\(?:approx)\b|\b(?:is|are|was|equals)\b)(?!.*=)"
    r"|([a-z]{3,}(?: [a-z]+)*)(?=\s*[\[($]))\s*(.+)$",
    re.S | re.I,
)
_ROOTS = re.compile(r"^([xtkmz])_?\{?\d\}?$")
_REMARK = re.compile(
    r"\(\s*(?:the )?(?:answers? )?(?:is |are )?(?:not (?:be )?unique|(?:may|can) vary|any\b|or any\b|one of)[^()]*\)"
    r"|\(\s*(?:e\.?g\.?|for example|answers? (?:may|can|is|are|not)|答案不)[^()]*\)",
    re.I,
)
_MATRIX = re.compile(
    r"\\(?:left\s*[\[(]\s*)?\\?begin\s*\{([pbB]?matrix|array)\}(?:\{[clr|]*\})?(.*?)\\end\s*\{\1\}"
    r"(?:\s*\\right\s*[\])])?",
    re.S,
)
_CASES = re.compile(
    r"(?:\\left\s*\\?\{)?\s*\\begin\s*\{(cases|aligned|array)\}(?:\{[clr|]*\})?(.*?)\\end\s*\{\1\}", re.S
)
_RELATION = re.compile(r"=|\\(?:perp|parallel|cong|sim|neq|bot)(?![a-z])|//")
_COMPARISON = re.compile(r"(<=|>=|<|>|\\leq?q?(?![a-z])|\\geq?q?(?![a-z])|!=|\\neq?(?![a-z]))")
_SIGN = {"\\leq": "<=", "\\le": "<=", "\\geq": ">=", "\\ge": ">=", "\\neq": "!=", "\\ne": "!="}
_VARIABLE = re.compile(r"^(?:[a-zA-Z]|\\[a-z]{2,7})(?:_\{?\w\}?)?$")
_ANY_OF = re.compile(r"^(?:[a-zA-Z]|\\[a-z]+)(?:_\{?\w+\}?)?\s*\\in(?![a-z])")
_RATIO = re.compile(r"\s*(?::|\\colon|\bto\b|比)\s*")


class Part(NamedTuple):
    """One part of an answer: what it is called (empty: nothing), and its value."""

    label: str
    value: str


class Parts(NamedTuple):
    """The parts of an answer; whether their order says which is which; whether they are numbered or on lines, so
    that nothing else can be meant."""

    parts: list[Part]
    ordered: bool = False
    sure: bool = False


def unremarked(gold: str) -> str:
    """A gold answer without the remark that others would do, and without the question mark of a flow chart."""
    gold = _REMARK.sub(" ", gold)
    return re.sub(r"\?(\s*\$*\s*)$", r"\1", gold) if _COMPARISON.search(tidy(gold)) else gold


def alternatives(gold: str) -> list[str]:
    """The answers that a gold offers with "or", any of which will do: relations about different things. Values
    of one unknown ("x = 2 or x = -3") are one answer."""
    choices = re.split(r"\bor\b|(?<=\s)或", gold)
    if len(choices) < 2:
        return [gold]
    sides = [_RELATION.split(tidy(choice), maxsplit=1) for choice in choices]
    names = {side[0].strip() for side in sides}
    apart = len(names) > 1 and all(len(s) > 1 and not _VARIABLE.match(s[0].strip()) for s in sides)
    return choices if apart else [gold]


def one_notation(text: str) -> str:
    """Column and row vectors as tuples, systems as lists, unremarked typography of sets left alone."""
    if "\\begin" not in text:
        return text
    text = _CASES.sub(lambda m: m[2].replace("\\\\", ", ").replace("&", " "), text) if "array" not in text else text
    return _MATRIX.sub(_vector, text)


def _vector(match: re.Match[str]) -> str:
    rows = [row.split("&") for row in match[2].strip().removesuffix("\\\\").split("\\\\")]
    flat = rows[0] if len(rows) == 1 else [row[0] for row in rows]
    if len(flat) < 2 or (len(rows) > 1 and any(len(row) > 1 for row in rows)):
        return match[0]
    return "(" + ", ".join(entry.strip() for entry in flat) + ")"


def _split(text: str, hard: bool) -> list[str]:
    """`text` cut at the separators outside brackets. A comma inside 1,200 separates only if `hard`."""
    kept = [] if hard else [m.span() for m in _THOUSANDS.finditer(text)]
    pieces, start, depth, at = [], 0, 0, 0
    for token in re.finditer(r"[(\[{]|[)\]}]|" + _SEPARATOR.pattern, text):
        if token[0] in "([{":
            depth += 1
        elif token[0] in ")]}":
            depth = max(0, depth - 1)
        elif depth == 0 or token[0].startswith("\\text"):
            if token[0] == "," and any(a <= token.start() < b for a, b in kept):
                continue
            pieces.append(text[start : token.start()])
            start = token.end()
            at += 1
            if at > MAX_PARTS:
                break
    return [piece for piece in (p.strip(" $.\t") for p in [*pieces, text[start:]]) if piece]


def _bare(text: str) -> tuple[str, str]:
    """`text` without the outer brackets of a set ("{") or of a list of three or more ("["), and which they were."""
    inner = tidy(text)
    opening = "{" if inner.startswith("{") and inner.endswith("}") else ""
    if inner.startswith("\\{") and inner.endswith("\\}"):
        opening, inner = "{", inner[1:-2] + "}"
    if inner.startswith("[") and inner.endswith("]") and inner.count(",") >= 2:
        opening = "["
    if not opening or any(bracket in inner[1:-1] for bracket in "{}[]"):
        return text, ""
    return inner[1:-1], opening


def parts(text: str, hard: bool = False) -> Parts:
    """The parts of an answer: numbered "(1) ... (2) ...", on lines, or between semicolons (these are ordered), or
    a list with commas, "and" or "or". One part: no list."""
    if len(text) > 2000 or not _MAY_BE_SEVERAL.search(text):
        return Parts([Part("", text)])
    text, brackets = _bare(one_notation(text))
    if _CIRCLED.match(tidy(text)):
        return Parts([Part("", str(_digit(c))) for c in re.findall(r"[\u2460-\u2473\d]", text)])
    numbered = {"1", "2"} <= {m[1] or str(_digit(m[2])) for m in _NUMBERED.finditer(text)}
    if numbered:
        text = _NUMBERED.sub("\n", text)
    text = re.sub(r"(?<=\D)\.\s*$", "", text)
    pieces = _split(text, hard)
    if numbered:
        pieces = [piece for line in pieces for piece in _lines(line)]
    sure = numbered or "\n" in text.strip()
    ordered = sure or (";" in text and brackets != "{") or brackets == "["
    labelled = [_part(piece) for piece in pieces]
    labels = [part.label for part in labelled]
    if labels and labels[0] and not any(labels[1:]) and len(labels) > 1 and _VARIABLE.match(labels[0]):
        labelled = [Part("", part.value) for part in labelled]
    roots = {m[1] if (m := _ROOTS.match(label)) else label for label in labels}
    if len(roots) == 1 and len(labels) > 1:
        labelled = [Part("", part.value) for part in labelled]
    return Parts(labelled, ordered, sure)


def _digit(character: str) -> int:
    return int(character) if character.isdigit() and character.isascii() else ord(character) - 0x245F


def _lines(line: str) -> list[str]:
    """Formulas side by side in one numbered part are parts of their own: "$a$ $b$"."""
    formulas = re.findall(r"\$\$[^$]+\$\$|\$[^$]+\$", line)
    return formulas if len(formulas) > 1 and not re.sub(r"\$\$[^$]+\$\$|\$[^$]+\$", "", line).strip() else [line]


def _part(piece: str) -> Part:
    plain = tidy(piece)
    match = None if _COMPARISON.search(plain.replace("\\neq", "")) else _LABEL.match(plain)
    if not match or len(_RELATION.findall(plain)) > 1:
        return Part("", plain)
    label = re.sub(r"^(?:the|a|an) ", "", re.sub(r"[\s{}$]", " ", match[1] or match[2]).strip().lower())
    if (
        _RELATION.search(plain)
        and not _VARIABLE.match(match[1] or "")
        and re.search(r"[A-Z]{2}|\\angle", match[1] or "")
    ):
        return Part("", plain)
    return Part(re.sub(r" ?_ ?(\w+) ?", r"_\1", label), match[3])


def spans(text: str) -> tuple[str, list[tuple[str, list[str]]]] | None:
    """A tuple, interval, inequality or union of them, as its unknown ("" where it has none) and for each piece its
    pair of brackets and its terms: "x < 2" is ("x", [("()", ["-\\infty", "2"])]). None for anything else."""
    text = tidy(text)
    if len(text) > 200 or not (_COMPARISON.search(text) or re.search(r"[(\[\]].*,.*[)\]\[]", text)):
        return None
    built = re.match(r"^\\?\{\s*\S+\s*(?:\\mid|\\vert|\||:)\s*(.+?)\\?\}$", text)
    names: set[str] = set()
    pieces = []
    for piece in re.split(r"\\cup|(?<![A-Za-z])or(?![A-Za-z])", _ANY_OF.sub("", built[1] if built else text)):
        read = _inequality(piece, names) or _bracketed(piece.strip())
        if read is None:
            return None
        pieces += read
    return ("".join(names), pieces) if len(names) < 2 else None


def _bracketed(text: str) -> list[tuple[str, list[str]]] | None:
    if not re.match(r"^[(\[\]].*[)\]\[]$", text) or text[1:-1].count("(") != text[1:-1].count(")"):
        return None
    terms = [term.removeprefix("+") for term in _split(text[1:-1], False)]
    return [({"]": "("}.get(text[0], text[0]) + {"[": ")"}.get(text[-1], text[-1]), terms)] if len(terms) > 1 else None


def _inequality(text: str, names: set[str]) -> list[tuple[str, list[str]]] | None:
    """ "a < x <= b", "x > 3", "3 > x", "x != 3", "x > 1 and x < 4" as intervals; the unknown goes to `names`."""
    low, high, opening, closing = "-\\infty", "\\infty", "(", ")"
    for clause in re.split(r"(?<![A-Za-z])and(?![A-Za-z])", text):
        sides = [_SIGN.get(side.strip(), side.strip()) for side in _COMPARISON.split(clause)]
        places = [i for i in range(0, len(sides), 2) if _VARIABLE.match(sides[i])]
        if len(sides) not in (3, 5) or len(places) != 1 or not all(sides):
            return None
        at = places[0]
        names.add(sides[at])
        if sides[1] == "!=":
            return [("()", [low, sides[2 - at]]), ("()", [sides[2 - at], high])]
        for i in range(1, len(sides), 2):
            bound, closed = sides[i - 1 if i < at else i + 1], sides[i].endswith("=")
            if (sides[i][0] == "<") == (i < at):
                low, opening = bound, "[" if closed else "("
            else:
                high, closing = bound, "]" if closed else ")"
    return [(opening + closing, [low, high])]


def ratio(text: str) -> list[Fraction] | None:
    """The terms of "2:3:4" or "3 to 4", the first one as 1; None for anything else."""
    terms = [quantities.parse(term) for term in _RATIO.split(tidy(text))] if len(text) < 200 else []
    if len(terms) < 2 or not all(term and term.value > 0 for term in terms):
        return None
    return [term.value / terms[0].value for term in terms]


def mirrored(gold: str, answer: str) -> bool:
    """Whether two symmetric relations between names (AC = BD, PQ \\perp RS) are the same, either way round. The
    ends of a segment may change places, and so may the outer points of an angle."""
    relations = [_RELATION.findall(text) for text in (gold, answer)]
    if len(relations[0]) != 1 or relations[0] != relations[1]:
        return False
    ours, theirs = (sorted(map(_named, _RELATION.split(text))) for text in (gold, answer))
    return ours == theirs and all(ours)


def _named(text: str) -> str:
    text = re.sub(r"[\s$]|\\(?:overline|text|mathrm|line|rm)(?![a-z])|[{}]", "", text)
    points = re.match(r"^(\\angle)?([A-Z](?:[A-Z])?[A-Z])$", text)
    return text if not points else (points[1] or "") + min(points[2], points[2][::-1])


def numbers(terms: list[str]) -> list[quantities.Number] | None:
    values = [None if term.startswith("(") else quantities.parse(term) for term in terms]
    return values if all(values) else None
