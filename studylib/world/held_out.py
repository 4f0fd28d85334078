"""The two benchmarks held out from post-training: MiniMMMU (several subjects) and MiniStar (perception)."""

from __future__ import annotations

import random

from studylib.world.scenes import GRID, PAINTS, SHAPES
from studylib.world.tasks import (
    Task,
    by_item,
    hop_to_owner,
    hop_to_row,
    line_of,
    near_choices,
    never_negative,
    new_style,
    numbers_by_row,
    reading_ops,
    total_of,
    values_of,
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
        ops = by_item(cells, lambda look: ("+" if look[0] == "left" else "-", look[2]))
        if never_negative(ops):
            break
    text = rng.choice(["How much heavier is the left side?", "How much more weighs the left side than the right?"])
    scene, total = {"figure": "scales", "style": new_style(rng), "cells": cells}, total_of(ops)
    return Task("scales", n, scene, text, ops, str(total), choices=near_choices(rng, total))


def coins_but_row(rng: random.Random, n: int) -> Task:
    """Two hops: which row of coins is worth most, then what the others are worth together."""
    hop = None
    while hop is None:
        cells = {str(c): ["black", "coin", rng.choice([1, 2, 5, 10, 20])] for c in _cells(rng, n)}
        every = reading_ops(cells, "+")
        hop = hop_to_row(every, numbers_by_row(every), "most")
    ops = hop["passes"][hop["pick"]]
    text = rng.choice(["What are all coins worth without the row that is worth most?",
                       "Which row is worth most? What are the other coins worth?"])  # fmt: skip
    scene, total = {"figure": "coins", "style": new_style(rng), "cells": cells}, total_of(ops)
    choices = near_choices(rng, total, tempting=values_of(hop))
    return Task("coins but row", n, scene, text, ops, str(total), choices=choices, hop=hop)


def heaviest(rng: random.Random, n: int) -> Task:
    """Two hops: on which side of the scales the heaviest weight lies, then what lies on that side."""
    hop = None
    while hop is None:
        left = rng.randint(1, n - 1)
        spots = rng.sample([0, 1, 4, 5, 8, 9], min(left, 6)) + rng.sample([2, 3, 6, 7, 10, 11], min(n - left, 6))
        cells = {str(c): ["left" if c % 4 < 2 else "right", "weight", rng.randint(1, 9)] for c in sorted(spots)}
        hop = hop_to_owner(cells, "most")
    ops = hop["passes"][hop["pick"]]
    text = rng.choice(["What weighs the side with the heaviest weight?",
                       "On which side is the heaviest weight? What does that side weigh?"])  # fmt: skip
    scene, total = {"figure": "scales", "style": new_style(rng), "cells": cells}, total_of(ops)
    choices = near_choices(rng, total, tempting=values_of(hop))
    return Task("heaviest", n, scene, text, ops, str(total), choices=choices, hop=hop)


def tubes(rng: random.Random, n: int, ask: str) -> Task:
    """Thermometers marked in tens: the total of all `n`, or the difference of two."""
    while True:
        colours, heights = rng.sample(PAINTS, n), [10 * rng.randint(1, 9) for _ in range(n)]
        one, two = rng.sample(range(n), 2)
        if ask == "total":
            ops = [[("+", h)] for h in heights]
            break
        ops = [[("+", h) if i == one else ("-", h) if i == two else None] for i, h in enumerate(heights)]
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
    shown = {str(c): cells[c] for c in sorted(cells)}
    ops = by_item(shown, lambda look: ("+", 1) if matches(look[0], look[1]) else None)
    what = {"colour": f"{colour} shapes", "shape": f"{shape}s", "both": f"{colour} {shape}s"}[by]
    text = rng.choice([f"How many {what} are there?", f"Count the {what}. How many do you see?"])
    scene = {"figure": "shapes", "style": new_style(rng), "cells": shown}
    return Task(f"count {by}", n, scene, text, ops, str(n), choices=near_choices(rng, n))


def _shapes(rng: random.Random, spots: list[int], colours: list[str], forms: list[str]) -> dict[str, list]:
    return {str(c): [rng.choice(colours), rng.choice(forms), None] for c in sorted(spots)}


def shapes_but_row(rng: random.Random, n: int, want: str) -> Task:
    """Two hops: which row has the most (least) shapes of one form, then how many shapes the others have; `n` in all."""
    hop = None
    while hop is None:
        shape = rng.choice(SHAPES)
        cells = _shapes(rng, rng.sample(range(16), n), PAINTS, [shape, rng.choice([s for s in SHAPES if s != shape])])
        forms = [[look[1] for cell, look in cells.items() if line_of(int(cell)) == row] for row in range(GRID)]
        parts = {f"row {r}": [1 if form == shape else None for form in row] for r, row in enumerate(forms, 1)}
        hop = hop_to_row(by_item(cells, lambda look: ("+", 1)), parts, want)
    ops = hop["passes"][hop["pick"]]
    text = rng.choice([
        f"How many shapes are there without the row that has the {want} {shape}s?",
        f"Which row has the {want} {shape}s? How many shapes have the others?",
    ])  # fmt: skip
    scene, total = {"figure": "shapes", "style": new_style(rng), "cells": cells}, total_of(ops)
    choices = near_choices(rng, total, tempting=values_of(hop))
    return Task(f"shapes but {want}", n, scene, text, ops, str(total), choices=choices, hop=hop)
