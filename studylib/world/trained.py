"""The three benchmarks that post-training queries come from: MiniVision, MiniVerse, MiniVista."""

from __future__ import annotations

import math
import random

from studylib.world.scenes import GRID, PAINTS
from studylib.world.tasks import (
    Hop,
    Ops,
    Task,
    by_item,
    hop_to_owner,
    hop_to_row,
    never_negative,
    new_style,
    numbers_by_row,
    only_extreme,
    reading_ops,
    total_of,
)

# MiniVision: arithmetic over coloured digits


def digits(rng: random.Random, n: int, signed: bool) -> Task:
    while True:
        colour, other = rng.sample(PAINTS, 2)
        distractors = rng.randint(0, min(16 - n, 5))
        chosen = rng.sample(range(16), n + distractors)
        looks = {}
        for i, cell in enumerate(chosen):
            wanted = colour if not signed or rng.random() < 0.6 or i == 0 else other
            spare = [c for c in PAINTS if c != colour and not (signed and c == other)]
            looks[cell] = [wanted if i < n else rng.choice(spare), "digit", rng.randint(1, 9)]
        cells, signs = {str(c): looks[c] for c in sorted(looks)}, {colour: "+"} | ({other: "-"} if signed else {})
        ops = by_item(cells, lambda look, signs=signs: (signs[look[0]], look[2]) if look[0] in signs else None)
        if not signed or (never_negative(ops) and any(op and op[0] == "-" for line in ops for op in line)):
            break
    if signed:
        ask = [
            f"Add the {colour} digits and take away the {other} digits. What is the result?",
            f"What is the sum of the {colour} digits minus the sum of the {other} digits?",
            f"How much more do the {colour} digits add up to than the {other} digits?",
        ]
    else:
        ask = [
            f"What is the sum of the {colour} digits?",
            f"Add up all the {colour} digits. What do you get?",
            f"What do the {colour} digits add up to?",
        ]
    scene = {"figure": "grid", "style": new_style(rng), "cells": cells}
    return Task("signed" if signed else "sum", n, scene, rng.choice(ask), ops, str(total_of(ops)))


def _coloured_digits(rng: random.Random, n: int, colours: list[str]) -> dict[str, list]:
    spots = sorted(rng.sample(range(GRID * GRID), n))
    return {str(c): [rng.choice(colours), "digit", rng.randint(1, 9)] for c in spots}


def largest_digit(rng: random.Random, n: int) -> Task:
    """Two hops: which colour has the largest digit, then the sum of its digits; `n` digits in all."""
    hop = None
    while hop is None:
        cells = _coloured_digits(rng, n, rng.sample(PAINTS, rng.randint(2, min(5, max(2, n // 2)))))
        hop = hop_to_owner(cells, "most") if len({colour for colour, _, _ in cells.values()}) > 1 else None
    ops = hop["passes"][hop["pick"]]
    ask = rng.choice([
        "Add the digits of the colour that has the largest digit.",
        "Which colour has the largest digit? What do its digits add up to?",
    ])  # fmt: skip
    scene = {"figure": "grid", "style": new_style(rng), "cells": cells}
    return Task("largest", n, scene, ask, ops, str(total_of(ops)), hop=hop)


def digits_but_row(rng: random.Random, n: int, want: str) -> Task:
    """Two hops: which row of digits adds up to the most (least), then the sum of the others; `n` digits in all."""
    hop = None
    while hop is None:
        cells = _coloured_digits(rng, n, PAINTS)
        every = reading_ops(cells, "+")
        hop = hop_to_row(every, numbers_by_row(every), want)
    ops = hop["passes"][hop["pick"]]
    ask = rng.choice([
        f"Add all digits without the row that adds up to the {want}.",
        f"Which row adds up to the {want}? What do the other digits add up to?",
    ])  # fmt: skip
    scene = {"figure": "grid", "style": new_style(rng), "cells": cells}
    return Task(f"digits but {want}", n, scene, ask, ops, str(total_of(ops)), hop=hop)


# MiniVerse: angles and lengths in a drawn figure


def _label_figure(rng: random.Random, spots: list[tuple[float, float]], labels: list[int | None]) -> dict[str, list]:
    free, cells = set(range(GRID * GRID)), {}
    for (x, y), label in zip(spots, labels, strict=True):
        cell = min(free, key=lambda c: math.dist((c % GRID * 28 + 14, c // GRID * 28 + 14), (x, y)))
        free.remove(cell)
        cells[cell] = ["black", "x", None] if label is None else ["black", "label", label]
    return {str(c): cells[c] for c in sorted(cells)}


def _wedge(centre, radius: float, turn: float) -> tuple[float, float]:
    a = math.pi * turn
    return (centre[0] + radius * math.cos(a), centre[1] - radius * math.sin(a))


def _split_angle(rng: random.Random, whole: int, parts: int) -> list[int]:
    """`parts` multiples of 5, at least 10 and below 100 but the last, which make up `whole`."""
    while True:
        known = [5 * rng.randint(2, 19) for _ in range(parts - 1)]
        if 10 <= whole - sum(known) < 180:
            return known + [whole - sum(known)]


def _numbers(cells: dict[str, list]) -> str:
    known = [str(number) for _, _, number in cells.values() if number is not None]
    return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} and {known[-1]}"


def angles(rng: random.Random, n: int, whole: int, corners: bool) -> Task:
    """`n` known angles and one unknown: in a triangle, on a straight line (180), or around a point (360)."""
    jitter = lambda: rng.randint(-4, 4)  # noqa: E731
    parts = _split_angle(rng, whole, n + 1)
    labels: list[int | None] = [*parts[:-1], None]
    rng.shuffle(labels)
    if corners:
        tops = [
            (12 + jitter(), 98 + jitter()),
            (100 + jitter(), 98 + jitter()),
            (rng.randint(30, 82), 14 + jitter()),
        ]
        middle = (sum(x for x, _ in tops) / 3, sum(y for _, y in tops) / 3)
        spots = [(x + 0.3 * (middle[0] - x), y + 0.3 * (middle[1] - y)) for x, y in tops]
        strokes, where = [[tops[i], tops[(i + 1) % 3]] for i in range(3)], "in the triangle"
    else:
        half = whole == 180
        centre = (56 + jitter(), 86 + jitter() if half else 56 + jitter())
        arc, shift = (1.0, 0.0) if half else (2.0, rng.random())
        turns = [shift + arc * i / (n + 1) for i in range(n + 1 + half)]
        strokes = [[centre, _wedge(centre, 52, t)] for t in turns]
        spots = [_wedge(centre, 40, shift + arc * (i + 0.5) / (n + 1)) for i in range(n + 1)]
        where = "on the straight line" if half else "around the point"
    cells = _label_figure(rng, spots, labels)
    ops = reading_ops(cells, "-")
    ask = rng.choice([f"Find the angle x {where}.", f"How many degrees is the angle x {where}?"])
    scene = {"figure": "angles", "style": new_style(rng), "strokes": strokes, "cells": cells}
    kind = "triangle" if corners else "line" if whole == 180 else "point"
    given = f"The other angles are {_numbers(cells)}."
    return Task(kind, n, scene, ask, ops, str(parts[-1]), start=whole, given=given)


def _polygon(rng: random.Random, n: int) -> tuple[list, list]:
    """Corners of a figure with `n` sides, and where the labels of its sides stand."""
    shift, centre = rng.random() * 2, (56, 56)
    corners = [_wedge(centre, rng.randint(27, 33), shift + 2 * i / n) for i in range(n)]
    return corners, [_wedge(centre, 46, shift + 2 * (i + 0.5) / n) for i in range(n)]


def _polygon_scene(rng: random.Random, corners: list, cells: dict[str, list]) -> dict:
    strokes = [[corner, corners[(i + 1) % len(corners)]] for i, corner in enumerate(corners)]
    return {"figure": "polygon", "style": new_style(rng), "strokes": strokes, "cells": cells}


def perimeter(rng: random.Random, n: int) -> Task:
    corners, spots = _polygon(rng, n)
    cells = _label_figure(rng, spots, [rng.randint(2, 19) for _ in range(n)])
    ops = reading_ops(cells, "+")
    ask = rng.choice(["What is the perimeter of the figure?", "How long is the way around the figure?"])
    scene, given = _polygon_scene(rng, corners, cells), f"Its sides are {_numbers(cells)}."
    return Task("perimeter", n, scene, ask, ops, str(total_of(ops)), given=given)


def side(rng: random.Random, n: int) -> Task:
    """The side that is missing; `n` sides and the perimeter are known."""
    corners, spots = _polygon(rng, n + 1)
    sides = [rng.randint(2, 19) for _ in range(n + 1)]
    cells = _label_figure(rng, spots, [*sides[:-1], None])
    ops, ask = reading_ops(cells, "-"), rng.choice(["Find the side x.", "How long is the side x?"])
    scene, given = _polygon_scene(rng, corners, cells), f"The other sides are {_numbers(cells)}."
    ask = f"The perimeter is {sum(sides)}. {ask}"
    return Task("side", n, scene, ask, ops, str(sides[-1]), start=sum(sides), given=given)


def all_but_one(rng: random.Random, n: int, want: str) -> Task:
    """Two hops: which side is the longest (shortest), then the way around without it."""
    corners, spots = _polygon(rng, n)
    sides = rng.sample(range(2, 20), n)
    cells = _label_figure(rng, spots, list(sides))
    pick, word = ((max if want == "most" else min)(sides), "longest" if want == "most" else "shortest")
    every = reading_ops(cells, "+")
    read = [op[1] for line in every for op in line]
    passes = {str(side): [[None if op[1] == side else op for op in line] for line in every] for side in read}
    ops = passes[str(pick)]
    ask = rng.choice([f"How long are all sides but the {word} together?", f"Add all sides without the {word}."])
    hop: Hop = {"sort": "scan", "want": want, "parts": numbers_by_row(every), "passes": passes, "pick": str(pick)}
    scene, given = _polygon_scene(rng, corners, cells), f"Its sides are {_numbers(cells)}."
    return Task(f"all but {word}", n, scene, ask, ops, str(total_of(ops)), given=given, hop=hop)


# MiniVista: bar charts and tables


def bars(rng: random.Random, n: int, ask: str) -> Task:
    """A chart of `n` bars: their total, or the difference of two."""
    while True:
        colours, heights = rng.sample(PAINTS, n), [rng.randint(1, 9) for _ in range(n)]
        one, two = rng.sample(range(n), 2)
        if ask == "total":
            ops = [[("+", h)] for h in heights]
            break
        ops = [[("+", h) if i == one else ("-", h) if i == two else None] for i, h in enumerate(heights)]
        if never_negative(ops):
            break
    scene = _chart(rng, colours, heights)
    if ask == "total":
        text = rng.choice(["What is the total of all bars?", "How much do all bars add up to?"])
    else:
        text = rng.choice([
            f"How much higher is the {colours[one]} bar than the {colours[two]} bar?",
            f"What is the {colours[one]} bar minus the {colours[two]} bar?",
        ])  # fmt: skip
    return Task(f"bars {ask}", n, scene, text, ops, str(total_of(ops)))


def _chart(rng: random.Random, colours: list[str], heights: list[int]) -> dict:
    shown = list(map(list, zip(colours, heights, strict=True)))
    return {"figure": "bars", "style": new_style(rng), "cells": {}, "bars": shown}


def bars_but_one(rng: random.Random, n: int, want: str) -> Task:
    """Two hops: which bar is the highest (lowest), then the total of the others."""
    colours, heights = rng.sample(PAINTS, n), rng.sample(range(1, 10), n)
    extreme = (max if want == "most" else min)(heights)
    pick, word = colours[heights.index(extreme)], "highest" if want == "most" else "lowest"
    every = list(zip(colours, heights, strict=True))
    passes: dict[str, Ops] = {left: [[None if c == left else ("+", h)] for c, h in every] for left in colours}
    ops = passes[pick]
    ask = rng.choice([f"What do all bars but the {word} add up to?", f"Add all bars without the {word}."])
    parts: dict[str, list[int | None]] = {f"bar {i + 1}": [h] for i, h in enumerate(heights)}
    hop: Hop = {"sort": "scan", "want": want, "parts": parts, "passes": passes, "pick": pick}
    return Task(f"bars but {word}", n, _chart(rng, colours, heights), ask, ops, str(total_of(ops)), hop=hop)


def _table_scene(rng: random.Random, rows: list[str], numbers: list[list[int]]) -> dict:
    cells = {}
    for r, colour in enumerate(rows):
        cells[str(r * GRID)] = [colour, "swatch", None]
        for k, value in enumerate(numbers[r]):
            cells[str(r * GRID + k + 1)] = ["black", "number", value]
    return {"figure": "table", "style": new_style(rng), "cells": cells}


def _row_ops(numbers: list[list[int]], signs: dict[int, str]) -> Ops:
    """The numbers of the rows in `signs`, with their signs; the colour before them calls for nothing."""
    ops: Ops = [[None, *((signs[r], v) if r in signs else None for v in own)] for r, own in enumerate(numbers)]
    return ops + [[] for _ in range(GRID - len(numbers))]


def table(rng: random.Random, n: int, ask: str) -> Task:
    """A table of coloured rows with three numbers each: the total of `n` rows, or the difference of two."""
    while True:
        rows = rng.sample(PAINTS, rng.randint(max(2, n), GRID))
        numbers = [[rng.randint(1, 9) for _ in range(3)] for _ in rows]
        chosen = rng.sample(range(len(rows)), n if ask == "total" else 2)
        signs = {row: "+" if ask == "total" or i == 0 else "-" for i, row in enumerate(chosen)}
        ops = _row_ops(numbers, signs)
        if ask == "total" or never_negative(ops):
            break
    names = [rows[r] for r in chosen]
    if ask == "total":
        which = f"the {names[0]} row" if n == 1 else f"the {', '.join(names[:-1])} and {names[-1]} rows"
        text = rng.choice([f"What is the total of {which}?", f"How much do the numbers of {which} add up to?"])
    else:
        text = f"How much more is in the {names[0]} row than in the {names[1]} row?"
    return Task(f"table {ask}", n, _table_scene(rng, rows, numbers), text, ops, str(total_of(ops)))


def extreme_row(rng: random.Random, n: int, want: str) -> Task:
    """Two hops: which of `n` rows adds up to the most (least), then its total."""
    pick = None
    while pick is None:
        rows = rng.sample(PAINTS, n)
        numbers = [[rng.randint(1, 9) for _ in range(3)] for _ in rows]
        pick = only_extreme({row: sum(own) for row, own in zip(rows, numbers, strict=True)}, want)
    passes = {row: _row_ops(numbers, {r: "+"}) for r, row in enumerate(rows)}
    ops = passes[pick]
    ask = rng.choice([
        f"What is the total of the row that adds up to the {want}?",
        f"Which row adds up to the {want}? What is its total?",
    ])  # fmt: skip
    parts: dict[str, list[int | None]] = {f"row {r + 1}": [None, *own] for r, own in enumerate(numbers)}
    hop: Hop = {"sort": "total", "want": want, "parts": parts, "passes": passes, "pick": pick}
    return Task(f"row with {want}", n, _table_scene(rng, rows, numbers), ask, ops, str(total_of(ops)), hop=hop)
