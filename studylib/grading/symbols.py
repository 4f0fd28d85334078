"""Equality of expressions by math-verify. Only ever called in a worker process that may be killed."""

import re
from dataclasses import replace
from typing import Any

import math_verify
from sympy import Expr

from studylib.grading import quantities
from studylib.grading.clean import tidy

_VARIABLE = re.compile(r"[\d})\s]\s*[a-zA-Z][\s$]*$")
_LATEX = math_verify.LatexExtractionConfig()
_UNITS_KEPT = replace(_LATEX, normalization_config=replace(_LATEX.normalization_config, units=False))


def _parsed(text: str) -> list[Any]:
    """What math-verify makes of `text`. Its plain-expression reader is left out: it evaluates text as Python. A
    letter at the end is a variable here (4t), which its reader of units would drop."""
    bare = text.strip().strip("$").strip()
    math = text if any(mark in bare for mark in ("$", "\\(", "\\[", "\\boxed")) else f"${bare}$"
    reader = _UNITS_KEPT if _VARIABLE.search(bare) else _LATEX
    return math_verify.parse(math, extraction_config=[reader], parsing_timeout=None) or [tidy(text)]


def equal(gold: str, answer: str) -> bool:
    """Whether two LaTeX or plain expressions, sets, tuples, intervals or relations are equal as math-verify
    sees it (its own alarm is off: the worker's timer stands for it), or one is a decimal of four digits or
    more that rounds the other. Raises what sympy raises."""
    ours, theirs = _parsed(gold), _parsed(answer)
    if math_verify.verify(
        ours, theirs, strict=True, float_rounding=6, timeout_seconds=None, allow_set_relation_comp=True
    ):
        return True
    return _rounds(gold, theirs[0]) or _rounds(answer, ours[0])


def _rounds(decimal: str, exact: Any) -> bool:
    number = quantities.parse(decimal)
    if number is None or not number.decimals or number.digits < 4 or not isinstance(exact, Expr):
        return False
    value = exact.evalf(20)
    return bool(value.is_Float) and abs(float(value) - float(number.value)) <= 0.5 * 10.0**-number.decimals
