"""Equality of expressions by math-verify. Only ever called in a worker process that may be killed."""

import re
from dataclasses import replace
from typing import Any

import math_verify
import sympy
from sympy import Expr

from studylib.grading import quantities
from studylib.grading.clean import latex, tidy

_VARIABLE = re.compile(r"[\d})\s]\s*[a-zA-Z][\s$]*$")
_LATEX = math_verify.LatexExtractionConfig()
_UNITS_KEPT = replace(_LATEX, normalization_config=replace(_LATEX.normalization_config, units=False))
PRECISION = 1e-6  # relative, between expressions with decimals


def _parsed(text: str) -> list[Any]:
    """What math-verify makes of `text`. Its plain-expression reader is left out: it evaluates text as Python. A
    letter at the end is a variable here (4t), which its reader of units would drop."""
    text = latex(text)
    bare = text.strip().strip("$").strip()
    math = text if any(mark in bare for mark in ("$", "\\(", "\\[", "\\boxed")) else f"${bare}$"
    reader = _UNITS_KEPT if _VARIABLE.search(bare) else _LATEX
    return math_verify.parse(math, extraction_config=[reader], parsing_timeout=None) or [tidy(text)]


def equal(gold: str, answer: str) -> bool:
    """Whether two LaTeX or plain expressions, sets, tuples, intervals or relations are equal. Numbers are compared
    here, exactly or (with decimals) to a relative `PRECISION`, since math-verify rounds to decimals, which makes
    all tiny numbers one; the rest as math-verify sees it (its own alarm is off: the worker's timer stands for
    it). A decimal of four digits or more may round the other. Raises what sympy raises."""
    ours, theirs = _parsed(gold), _parsed(answer)
    if _rounds(gold, theirs[0]) or _rounds(answer, ours[0]):
        return True
    if all(isinstance(side, Expr) and side.is_number for side in (ours[0], theirs[0])):
        return _same_number(ours[0], theirs[0])
    if math_verify.verify(
        ours, theirs, strict=True, float_rounding=6, timeout_seconds=None, allow_set_relation_comp=True
    ):
        return True
    return isinstance(ours[0], Expr) and isinstance(theirs[0], Expr) and _same_where_positive(ours[0], theirs[0])


def _same_number(ours: Expr, theirs: Expr) -> bool:
    if ours.has(sympy.Float) or theirs.has(sympy.Float):
        one, other = (complex(side.evalf(20)) for side in (ours, theirs))
        return abs(one - other) <= PRECISION * max(abs(one), abs(other))
    difference = (ours - theirs).doit()
    return difference == 0 or not difference.is_Rational and bool(difference.equals(0))


def _same_where_positive(ours: Expr, theirs: Expr) -> bool:
    """Whether two expressions with a root of an unknown are equal for positive unknowns, and differ as real numbers
    nowhere: sqrt(1/n) is 1/sqrt(n), but sqrt(n^2) is not n."""
    symbols = ours.free_symbols
    if (
        not symbols
        or symbols != theirs.free_symbols
        or not any(p.exp.is_Rational and not p.exp.is_Integer for p in (ours + theirs).atoms(sympy.Pow))
    ):
        return False
    positive = {symbol: sympy.Symbol(symbol.name, positive=True) for symbol in symbols}
    if sympy.simplify(ours.subs(positive) - theirs.subs(positive)) != 0:
        return False
    for sign in (-1, 1):
        at = {
            symbol: sign * (-1) ** i * sympy.Rational(7 + 2 * i, 5) for i, symbol in enumerate(sorted(symbols, key=str))
        }
        one, other = (complex(side.subs(at).evalf()) for side in (ours, theirs))
        if abs(one.imag) < 1e-9 and abs(other.imag) < 1e-9 and abs(one - other) > 1e-9 * abs(one):
            return False
    return True


def _rounds(decimal: str, exact: Any) -> bool:
    number = quantities.parse(decimal)
    if number is None or not number.decimals or number.digits < 4 or not isinstance(exact, Expr):
        return False
    value = exact.evalf(20)
    return bool(value.is_Float) and abs(float(value) - float(number.value)) <= 0.5 * 10.0**-number.decimals
