"""Equality of expressions by math-verify. Only ever called in a worker process that may be killed."""

from studylib.grading.clean import tidy


def _as_math(text: str) -> str:
    return text if any(mark in text for mark in ("$", "\\(", "\\[", "\\boxed")) else f"${text}$"


def equal(gold: str, answer: str) -> bool:
    """Whether two LaTeX or plain expressions, sets, tuples, intervals or relations are equal, as math-verify
    sees it (its own alarm is off: the worker's timer stands for it). Raises what sympy raises."""
    import math_verify

    targets = [math_verify.LatexExtractionConfig()]  # the plain-expression target evaluates text as Python
    parsed = [
        math_verify.parse(_as_math(text), extraction_config=targets, parsing_timeout=None, raise_on_error=False)
        for text in (gold, answer)
    ]
    if not parsed[0]:
        parsed[0] = [tidy(gold)]
    return bool(parsed[1]) and math_verify.verify(
        parsed[0], parsed[1], strict=True, float_rounding=6, timeout_seconds=None, allow_set_relation_comp=True
    )
