"""Checks for the exercises at the end of each chapter."""

import math
from typing import Any


def check(answer: Any, right: Any, tolerance: float = 1e-6) -> None:
    """Says whether an answer is right; None means not tried. Numbers may be off by `tolerance`."""
    if answer is None:
        print("Not tried yet: put your answer in place of None and run the cell again.")
        return
    number = isinstance(right, int | float) and not isinstance(right, bool)
    same = math.isclose(answer, right, abs_tol=tolerance) if number else answer == right
    print("Right." if same else "Not yet. Look at the cells above once more.")
