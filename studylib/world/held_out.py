"""The two benchmarks held out from post-training: MiniMMMU (several subjects) and MiniStar (perception)."""

from __future__ import annotations

import random

from studylib.world.scenes import GRID, PAINTS, SHAPES
from studylib.world.tasks import (
    Hop,
    Op,
    Task,
    counts_by,
    line_of,
    near_choices,
    never_negative,
    new_style,
    only_extreme,
    reading_ops,
    total_of,
)


def _cells(rng: random.Random, count: int) -> list[int]:
    return sorted(rng.sample(range(GRID * GRID), count))


# MiniMMMU: several subjects, multiple choice


def coins(rng: random.Random, n: int) -> Task:
    cells = {str(c): ["black", "coin", rng.choice([1, 2, 5, 10, 20])] for c in _cells(rng, n)}
    ops = reading_ops(cells, "+")
    text = rng.choice(["How much money is this?", "What are the coins worth together?"])
    scene, total = {"figure": "coins", "style": new_style(rng), "cells": cells}, total_of(ops)
    return Task("coins", n, scene, text, ops, str(total), choices=near_choices(rng, total))


def scales(rng: random.Random, n: int) -> Task:
    """Weights on two pans, `n` in all: left minus right."""
    while True:
        left = rng.randint(1, n - 1)
        sides = rng.sample([0, 1, 4, 5, 8, 9], min(left, 6)) + rng.sample([2, 3, 6, 7, 10, 11], min(n - left, 6))
        cells = {str(c): ["left" if c % 4 < 2 else "right", "weight", rng.randint(1, 9)] for c in sorted(sides)}
        ops: list[list[Op]] = [[] for _ in range(GRID)]
        for cell, (side, _, number) in cells.items():
            ops[line_of(int(cell))].append(("+" if side == "left" else "-", number))
        if never_negative(ops):
            break
    text = rng.choice(["How much heavier is the left side?", "How much more weighs the left side than the right?"])
    scene, total = {"figure": "scales", "style": new_style(rng), "cells": cells}, total_of(ops)
    return Task("scales", n, scene, text, ops, str(total), choices=near_choices(rng, total))


def most_coins(rng: random.Random, n: int) -> Task:
    """Two hops: which coin is there most often, then what these coins are worth together."""
    pick = None
    while pick is None:
        values = rng.sample([1, 2, 5, 10, 20], rng.randint(2, min(4, max(2, n // 2))))
        cells = {str(c): ["black", "coin", rng.choice(values)] for c in _cells(rng, n)}
        parts = counts_by(cells, lambda look: f"coin {look[2]}")
        pick = only_extreme({name: sum(rows) for name, rows in parts.items()}, "most") if len(parts) > 1 else None
    ops = [[op for op in line if f"coin {op[1]}" == pick] for line in reading_ops(cells, "+")]
    text = rng.choice(
        [
            "What are the coins that are there most often worth together?",
            "Which coin is there most often? What are these coins worth?",
        ]
    )
    names = [f"coin {value}" for value in (1, 2, 5, 10, 20)]
    hop: Hop = {"sort": "count", "want": "most", "parts": {c: parts[c] for c in names if c in parts}, "pick": pick}
    scene, total = {"figure": "coins", "style": new_style(rng), "cells": cells}, total_of(ops)
    return Task("most coins", n, scene, text, ops, str(total), choices=near_choices(rng, total), hop=hop)


def heavier(rng: random.Random, n: int) -> Task:
    """Two hops: which side of the scales is heavier, then by how much."""
    while True:
        left = rng.randint(1, n - 1)
        spots = rng.sample([0, 1, 4, 5, 8, 9], min(left, 6)) + rng.sample([2, 3, 6, 7, 10, 11], min(n - left, 6))
        cells = {str(c): ["left" if c % 4 < 2 else "right", "weight", rng.randint(1, 9)] for c in sorted(spots)}
        parts = {side: [v for own, _, v in cells.values() if own == side] for side in ("left", "right")}
        pick = only_extreme({side: sum(values) for side, values in parts.items()}, "most")
        ops: list[list[Op]] = [[] for _ in range(GRID)]
        for cell, (side, _, number) in cells.items():
            ops[line_of(int(cell))].append(("+" if side == pick else "-", number))
        if pick and never_negative(ops):
            break
    text = rng.choice(["Which side is heavier, and by how much?", "How much heavier is the heavier side?"])
    hop: Hop = {"sort": "total", "want": "most", "parts": parts, "pick": pick}
    scene, total = {"figure": "scales", "style": new_style(rng), "cells": cells}, total_of(ops)
    return Task("heavier", n, scene, text, ops, str(total), choices=near_choices(rng, total), hop=hop)


def tubes(rng: random.Random, n: int, ask: str) -> Task:
    """Thermometers marked in tens: the total of all `n`, or the difference of two."""
    while True:
        colours, heights = rng.sample(PAINTS, n), [10 * rng.randint(1, 9) for _ in range(n)]
        one, two = rng.sample(range(n), 2)
        if ask == "total":
            ops = [[("+", h)] for h in heights]
            break
        ops = [[("+", h)] if i == one else [("-", h)] if i == two else [] for i, h in enumerate(heights)]
        if never_negative(ops):
            break
    text = "What do all tubes show together?"
    if ask == "difference":
        text = f"How much warmer is the {colours[one]} tube than the {colours[two]} tube?"
    shown = list(map(list, zip(colours, heights, strict=True)))
    scene, total = {"figure": "tubes", "style": new_style(rng), "cells": {}, "bars": shown}, total_of(ops)
    return Task(f"tubes {ask}", n, scene, text, ops, str(total), choices=near_choices(rng, total, 10))


# MiniStar: perception that no text gives away


def count(rng: random.Random, n: int, by: str) -> Task:
    """Count the shapes of a colour (`by` colour), of a form (shape), or of both."""
    colour, shape = rng.choice(PAINTS), rng.choice(SHAPES)
    matches = lambda c, s: (by == "shape" or c == colour) and (by == "colour" or s == shape)  # noqa: E731
    cells = {}
    for i, cell in enumerate(rng.sample(range(16), min(16, n + rng.randint(1, 5)))):
        while True:
            c = colour if rng.random() < 0.5 else rng.choice(PAINTS)
            s = shape if rng.random() < 0.5 else rng.choice(SHAPES)
            if matches(c, s) == (i < n):
                break
        cells[cell] = [c, s, None]
    ops: list[list[Op]] = [[] for _ in range(GRID)]
    for cell in sorted(cells):
        if matches(cells[cell][0], cells[cell][1]):
            ops[line_of(cell)].append(("+", 1))
    what = {"colour": f"{colour} shapes", "shape": f"{shape}s", "both": f"{colour} {shape}s"}[by]
    text = rng.choice([f"How many {what} are there?", f"Count the {what}. How many do you see?"])
    scene = {"figure": "shapes", "style": new_style(rng), "cells": {str(c): cells[c] for c in sorted(cells)}}
    return Task(f"count {by}", n, scene, text, ops, str(n), choices=near_choices(rng, n))


def _shapes(rng: random.Random, spots: list[int], colours: list[str], forms: list[str]) -> dict[str, list]:
    return {str(c): [rng.choice(colours), rng.choice(forms), None] for c in sorted(spots)}


def extreme_count(rng: random.Random, n: int, want: str) -> Task:
    """Two hops: which colour is there most (least) often, then how many shapes have it; `n` shapes in all."""
    pick = None
    while pick is None:
        colours = rng.sample(PAINTS, rng.randint(2, min(5, max(2, n // 2))))
        cells = _shapes(rng, rng.sample(range(16), n), colours, SHAPES)
        parts = counts_by(cells, lambda look: look[0])
        pick = only_extreme({name: sum(rows) for name, rows in parts.items()}, want) if len(parts) > 1 else None
    ops: list[list[Op]] = [[("+", 1)] * count for count in parts[pick]]
    text = rng.choice([
        f"How many shapes have the colour that is there {want} often?",
        f"Which colour is there {want} often? How many shapes have it?",
    ])  # fmt: skip
    hop: Hop = {"sort": "count", "want": want, "parts": {c: parts[c] for c in PAINTS if c in parts}, "pick": pick}
    scene, total = {"figure": "shapes", "style": new_style(rng), "cells": cells}, sum(parts[pick])
    return Task(f"{want} shapes", n, scene, text, ops, str(total), choices=near_choices(rng, total), hop=hop)


def row_with_most(rng: random.Random, n: int) -> Task:
    """Which row has the most shapes of one form, `n` shapes in all."""
    pick = None
    while pick is None:
        shape, spots = rng.choice(SHAPES), rng.sample(range(16), n)
        cells = _shapes(rng, spots, PAINTS, [shape, rng.choice([s for s in SHAPES if s != shape])])
        counts = [sum(line_of(int(c)) == row and look[1] == shape for c, look in cells.items()) for row in range(GRID)]
        pick = only_extreme({f"row {row + 1}": count for row, count in enumerate(counts)}, "most")
    ops: list[list[Op]] = [[(">", count)] for count in counts]
    text = rng.choice([f"Which row has the most {shape}s?", f"In which row are the most {shape}s?"])
    choices = [f"row {r}" for r in rng.sample(range(1, GRID + 1), GRID)]
    scene = {"figure": "shapes", "style": new_style(rng), "cells": cells}
    return Task("row with most", n, scene, text, ops, pick, choices=choices)
