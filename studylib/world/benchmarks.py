"""The five mini benchmarks: their kinds of question, and the sizes that each kind comes in."""

from __future__ import annotations

import random
from collections.abc import Callable

from studylib.world import held_out, trained
from studylib.world.tasks import Task

TRAINED = ("MiniVision", "MiniVerse", "MiniVista")  # post-training queries come from these
KINDS: dict[str, dict[str, tuple[Callable[[random.Random, int], Task], list[int]]]] = {
    "MiniVision": {
        "sum": (lambda r, n: trained.digits(r, n, False), list(range(1, 11))),
        "signed": (lambda r, n: trained.digits(r, n, True), list(range(2, 9))),
        "largest": (trained.largest_digit, list(range(4, 15))),
        "digits but most": (lambda r, n: trained.digits_but_row(r, n, "most"), list(range(4, 13))),
        "digits but least": (lambda r, n: trained.digits_but_row(r, n, "least"), list(range(4, 13))),
    },
    "MiniVerse": {
        "triangle": (lambda r, n: trained.angles(r, n, 180, True), [2]),
        "line": (lambda r, n: trained.angles(r, n, 180, False), [1, 2, 3]),
        "point": (lambda r, n: trained.angles(r, n, 360, False), [2, 3, 4]),
        "perimeter": (trained.perimeter, [3, 4, 5, 6, 7]),
        "side": (trained.side, [2, 3, 4, 5, 6]),
        "all but longest": (lambda r, n: trained.all_but_one(r, n, "most"), [3, 4, 5, 6, 7]),
        "all but shortest": (lambda r, n: trained.all_but_one(r, n, "least"), [3, 4, 5, 6, 7]),
    },
    "MiniVista": {
        "bars total": (lambda r, n: trained.bars(r, n, "total"), [2, 3, 4]),
        "bars difference": (lambda r, n: trained.bars(r, n, "difference"), [2, 3, 4]),
        "bars but highest": (lambda r, n: trained.bars_but_one(r, n, "most"), [3, 4]),
        "bars but lowest": (lambda r, n: trained.bars_but_one(r, n, "least"), [3, 4]),
        "table total": (lambda r, n: trained.table(r, n, "total"), [1, 2, 3]),
        "table difference": (lambda r, n: trained.table(r, n, "difference"), [2]),
        "row with most": (lambda r, n: trained.extreme_row(r, n, "most"), [2, 3, 4]),
        "row with least": (lambda r, n: trained.extreme_row(r, n, "least"), [2, 3, 4]),
    },
    "MiniMMMU": {
        "coins": (held_out.coins, list(range(1, 9))),
        "scales": (held_out.scales, list(range(2, 8))),
        "tubes total": (lambda r, n: held_out.tubes(r, n, "total"), [2, 3, 4]),
        "tubes difference": (lambda r, n: held_out.tubes(r, n, "difference"), [2, 3, 4]),
        "coins but row": (held_out.coins_but_row, list(range(4, 13))),
        "heaviest": (held_out.heaviest, list(range(3, 9))),
    },
    "MiniStar": {
        "count colour": (lambda r, n: held_out.count(r, n, "colour"), list(range(1, 11))),
        "count shape": (lambda r, n: held_out.count(r, n, "shape"), list(range(1, 11))),
        "count both": (lambda r, n: held_out.count(r, n, "both"), list(range(1, 9))),
        "shapes but most": (lambda r, n: held_out.shapes_but_row(r, n, "most"), list(range(4, 15))),
        "shapes but least": (lambda r, n: held_out.shapes_but_row(r, n, "least"), list(range(4, 15))),
    },
}
