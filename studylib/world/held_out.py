"""The two benchmarks held out from post-training: MiniMMMU (several subjects) and MiniStar (perception)."""

from __future__ import annotations

import random

from studylib.world.scenes import GRID, PAINTS, SHAPES
from studylib.world.tasks import (
    Op,
    Task,
    leap_of,
    line_of,
    near_choices,
    never_negative,
    new_style,
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
    return Task("coins", n, scene, text, ops, str(total), leap_of(ops), choices=near_choices(rng, total))


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
    return Task("scales", n, scene, text, ops, str(total), leap_of(ops), choices=near_choices(rng, total))


def clock(rng: random.Random, n: int) -> Task:
    """Read the time (n = 1), or add minutes to it without (2) and with (3) a carry to the next hour."""
    hour, minute = rng.randint(1, 12), 5 * rng.randint(0, 11)
    later = 0
    while n > 1:
        minute, later = 5 * rng.randint(0, 11), 5 * rng.randint(2, 11)
        if (minute + later >= 60) == (n == 3):
            break
    ops: list[Op] = [("+", minute)] + ([("+", later)] if later else [])
    end_hour, end = hour, minute + later
    if end >= 60:
        ops.append(("-", 60))
        end_hour, end = hour % 12 + 1, end - 60
    value = f"{end_hour}:{end:02d}"
    others = {f"{h}:{m % 60:02d}" for h in (end_hour, end_hour % 12 + 1) for m in (end, end + 5, end + 55, end + 30)}
    choices = rng.sample(sorted(others - {value}), 3) + [value]
    rng.shuffle(choices)
    text = f"What time will the clock show in {later} minutes?" if later else "What time does the clock show?"
    scene = {"figure": "clock", "style": new_style(rng), "cells": {}, "clock": [hour, minute]}
    leap = f"{hour}:{minute:02d}" + (f"+{later}" if later else "")
    return Task("clock", n, scene, text, [ops], value, leap, choices=choices)


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
    return Task(f"tubes {ask}", n, scene, text, ops, str(total), leap_of(ops), choices=near_choices(rng, total, 10))


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
    return Task(f"count {by}", n, scene, text, ops, str(n), "count", choices=near_choices(rng, n))


def find(rng: random.Random, n: int, odd: bool) -> Task:
    """The row of one shape among `n`: a named one, or the only one that differs from all others."""
    spots = rng.sample(range(16), n)
    colour, shape = rng.choice(PAINTS), rng.choice(SHAPES)
    cells = {}
    for i, cell in enumerate(spots):
        if odd:
            cells[cell] = [colour, shape, None]
            if i == 0:
                new_colour = rng.random() < 0.5
                c = rng.choice([p for p in PAINTS if p != colour]) if new_colour else colour
                s = shape if new_colour else rng.choice([p for p in SHAPES if p != shape])
                cells[cell] = [c, s, None]
        else:
            while True:
                look = [rng.choice(PAINTS), rng.choice(SHAPES)] if i else [colour, shape]
                if i == 0 or look != [colour, shape]:
                    break
            cells[cell] = [*look, None]
    row = line_of(spots[0])
    ops: list[list[Op]] = [[("!", 0)] if r == row else [] for r in range(GRID)]
    text = "Which row holds the odd one out?" if odd else f"Which row holds the {colour} {shape}?"
    choices = [f"row {r}" for r in rng.sample(range(1, GRID + 1), GRID)]
    scene = {"figure": "shapes", "style": new_style(rng), "cells": {str(c): cells[c] for c in sorted(cells)}}
    return Task("odd" if odd else "find", n, scene, text, ops, f"row {row + 1}", "look", choices=choices)
