"""Equality of expressions by math-verify. Only ever called in a worker process that may be killed."""

from typing import Any

from sympy import Expr

from studylib.grading import quantities
from studylib.grading.clean import tidy


def _as_math(text: str) -> str:
    bare = text.strip().strip("$").strip()
    return text if any(mark in bare for mark in ("$", "\\(", "\\[", "\\boxed")) else f"${bare}$"


def equal(gold: str, answer: str) -> bool:
    """Whether two LaTeX or plain expressions, sets, tuples, intervals or relations are equal as math-verify
    sees it (its own alarm is off: the worker's timer stands for it), or one is a decimal of four digits or
    more that rounds the other. Raises what sympy raises."""
    import math_verify

    targets = [math_verify.LatexExtractionConfig()]  # its plain-expression target evaluates text as Python
    ours, theirs = (
        math_verify.parse(_as_math(text), extraction_config=targets, parsing_timeout=None) or [tidy(text)]
        for text in (gold, answer)
    )
    if math_verify.verify(
        ours, theirs, strict=True, float_rounding=6, timeout_seconds=None, allow_set_relation_comp=True
    ):
        return True
    return _rounds(gold, theirs[0]) or _rounds(answer, ours[0])


def _rounds(decimal: str, exact: Any) -> bool:
    number = quantities.parse(decimal)
    if number is None or not number.decimals or number.digits < 4 or not isinstance(exact, Expr) or exact.free_symbols:
        return False
    value = exact.evalf(20)
    return bool(value.is_Float) and abs(float(value) - float(number.value)) <= 0.5 * 10.0**-number.decimals
