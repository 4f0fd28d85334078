"""The five mini benchmarks: their kinds of question, and the sizes that each kind comes in."""

from __future__ import annotations

import random
from collections.abc import Callable

from studylib.world import held_out, trained
from studylib.world.tasks import Task

KINDS: dict[str, dict[str, tuple[Callable[[random.Random, int], Task], list[int]]]] = {
    "MiniVision": {
        "sum": (lambda r, n: trained.digits(r, n, False), list(range(1, 11))),
        "signed": (lambda r, n: trained.digits(r, n, True), list(range(2, 9))),
    },
    "MiniVerse": {
        "triangle": (lambda r, n: trained.angles(r, n, 180, True), [2]),
        "line": (lambda r, n: trained.angles(r, n, 180, False), [1, 2, 3]),
        "point": (lambda r, n: trained.angles(r, n, 360, False), [2, 3, 4]),
        "perimeter": (trained.perimeter, [3, 4, 5, 6, 7]),
    },
    "MiniVista": {
        "bars total": (lambda r, n: trained.bars(r, n, "total"), [2, 3, 4]),
        "bars difference": (lambda r, n: trained.bars(r, n, "difference"), [2, 3, 4]),
        "highest": (lambda r, n: trained.bars(r, n, "highest"), [3, 4]),
        "table total": (lambda r, n: trained.table(r, n, "total"), [1, 2, 3]),
        "table difference": (lambda r, n: trained.table(r, n, "difference"), [2]),
    },
    "MiniMMMU": {
        "coins": (held_out.coins, list(range(1, 9))),
        "scales": (held_out.scales, list(range(2, 8))),
        "clock": (held_out.clock, [1, 2, 3]),
        "tubes total": (lambda r, n: held_out.tubes(r, n, "total"), [2, 3, 4]),
        "tubes difference": (lambda r, n: held_out.tubes(r, n, "difference"), [2, 3, 4]),
    },
    "MiniStar": {
        "count colour": (lambda r, n: held_out.count(r, n, "colour"), list(range(1, 11))),
        "count shape": (lambda r, n: held_out.count(r, n, "shape"), list(range(1, 11))),
        "count both": (lambda r, n: held_out.count(r, n, "both"), list(range(1, 9))),
        "find": (lambda r, n: held_out.find(r, n, False), [4, 8, 12]),
        "odd": (lambda r, n: held_out.find(r, n, True), [4, 8, 12]),
    },
}
