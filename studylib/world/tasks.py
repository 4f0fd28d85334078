"""The five mini benchmarks: each kind of question draws a scene and says how its answer follows from it.

A task holds, for every line of the scene as told in words, the elementary operations that the line calls for:
`("+", 3)`, `("-", 4)`, `(">", 7)` (a new maximum?), `("!", 0)` (found). The answer is exact by construction.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from studylib.world.scenes import GRID, PAINTS, SHAPES, Scene, lines

Op = tuple[str, int]


@dataclass
class Task:
    kind: str
    n: int
    scene: Scene
    question: str
    ops: list[list[Op]]
    value: str
    leap: str
    start: int = 0
    choices: list[str] = field(default_factory=list)
    given: str = ""
    version: str = ""

    @property
    def letter(self) -> str:
        return "ABCD"[self.choices.index(self.value)] if self.choices else ""


def _style(rng: random.Random) -> int:
    return rng.randrange(2**31)


def _cells(rng: random.Random, count: int) -> list[int]:
    return sorted(rng.sample(range(GRID * GRID), count))


def _line_of(cell: int) -> int:
    return cell // GRID


def _total(ops: list[list[Op]], start: int = 0) -> int:
    total = start
    for op, value in (o for line in ops for o in line):
        total = total + value if op == "+" else total - value if op == "-" else max(total, value)
    return total


def _never_negative(ops: list[list[Op]]) -> bool:
    total = 0
    for op, value in (o for line in ops for o in line):
        total += value if op == "+" else -value
        if total < 0:
            return False
    return total > 0


def _leap(ops: list[list[Op]], start: int = 0) -> str:
    text = "".join(f"{op}{value}" for line in ops for op, value in line)
    return f"{start}{text}" if start else text.removeprefix("+")


def near_choices(rng: random.Random, value: int, step: int = 1, least: int = 0) -> list[str]:
    """Four options, the answer among them, the others within a few steps of it."""
    near = [value + step * d for d in (-4, -3, -2, -1, 1, 2, 3, 4) if value + step * d >= least]
    options = rng.sample(near, 3) + [value]
    rng.shuffle(options)
    return [str(option) for option in options]


# MiniVision: arithmetic over coloured digits


def digits(rng: random.Random, n: int, signed: bool) -> Task:
    while True:
        colour, other = rng.sample(PAINTS, 2)
        distractors = rng.randint(0, min(16 - n, 5))
        chosen = rng.sample(range(16), n + distractors)
        cells = {}
        for i, cell in enumerate(chosen):
            wanted = colour if not signed or rng.random() < 0.6 or i == 0 else other
            spare = [c for c in PAINTS if c != colour and not (signed and c == other)]
            cells[cell] = [wanted if i < n else rng.choice(spare), "digit", rng.randint(1, 9)]
        ops: list[list[Op]] = [[] for _ in range(GRID)]
        for cell in sorted(cells):
            c, _, digit = cells[cell]
            if c == colour:
                ops[_line_of(cell)].append(("+", digit))
            elif signed and c == other:
                ops[_line_of(cell)].append(("-", digit))
        if not signed or (_never_negative(ops) and any(o == "-" for line in ops for o, _ in line)):
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
    scene = {"figure": "grid", "style": _style(rng), "cells": {str(c): cells[c] for c in sorted(cells)}}
    return Task("signed" if signed else "sum", n, scene, rng.choice(ask), ops, str(_total(ops)), _leap(ops))


# MiniVerse: angles and lengths in a drawn figure


def _label_figure(
    rng: random.Random, spots: list[tuple[float, float]], labels: list[int | None]
) -> dict[str, list]:
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


def _reading_ops(cells: dict[str, list], op: str) -> list[list[Op]]:
    ops: list[list[Op]] = [[] for _ in range(GRID)]
    for cell, (_, _, number) in cells.items():
        if number is not None:
            ops[_line_of(int(cell))].append((op, number))
    return ops


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
    ops = _reading_ops(cells, "-")
    ask = rng.choice([f"Find the angle x {where}.", f"How many degrees is the angle x {where}?"])
    scene = {"figure": "angles", "style": _style(rng), "strokes": strokes, "cells": cells}
    kind = "triangle" if corners else "line" if whole == 180 else "point"
    given = f"The other angles are {_numbers(cells)}."
    return Task(kind, n, scene, ask, ops, str(parts[-1]), _leap(ops, whole), start=whole, given=given)


def perimeter(rng: random.Random, n: int) -> Task:
    shift, centre = rng.random() * 2, (56, 56)
    corners = [_wedge(centre, rng.randint(27, 33), shift + 2 * i / n) for i in range(n)]
    spots = [_wedge(centre, 46, shift + 2 * (i + 0.5) / n) for i in range(n)]
    sides = [rng.randint(2, 19) for _ in range(n)]
    cells = _label_figure(rng, spots, sides)
    ops = _reading_ops(cells, "+")
    strokes = [[corners[i], corners[(i + 1) % n]] for i in range(n)]
    ask = rng.choice(["What is the perimeter of the figure?", "How long is the way around the figure?"])
    scene = {"figure": "polygon", "style": _style(rng), "strokes": strokes, "cells": cells}
    given = f"Its sides are {_numbers(cells)}."
    return Task("perimeter", n, scene, ask, ops, str(_total(ops)), _leap(ops), given=given)


# MiniVista: bar charts and tables


def bars(rng: random.Random, n: int, ask: str) -> Task:
    """A chart of `n` bars: their total, the difference of two, or the highest (choice)."""
    while True:
        colours = rng.sample(PAINTS, n)
        heights = rng.sample(range(1, 10), n) if ask == "highest" else [rng.randint(1, 9) for _ in range(n)]
        one, two = rng.sample(range(n), 2)
        if ask == "difference":
            ops = [[("+", h)] if i == one else [("-", h)] if i == two else [] for i, h in enumerate(heights)]
            if _never_negative(ops):
                break
        else:
            ops = [[("+" if ask == "total" else ">", h)] for h in heights]
            break
    scene = {
        "figure": "bars",
        "style": _style(rng),
        "cells": {},
        "bars": list(map(list, zip(colours, heights, strict=True))),
    }
    if ask == "highest":
        best = colours[heights.index(max(heights))]
        choices = rng.sample(colours, n)
        text = rng.choice(["Which bar is the highest?", "Which colour has the highest bar?"])
        return Task("highest", n, scene, text, ops, best, "the highest bar", choices=choices)
    if ask == "total":
        text = rng.choice(["What is the total of all bars?", "How much do all bars add up to?"])
    else:
        text = rng.choice([
            f"How much higher is the {colours[one]} bar than the {colours[two]} bar?",
            f"What is the {colours[one]} bar minus the {colours[two]} bar?",
        ])  # fmt: skip
    return Task(f"bars {ask}", n, scene, text, ops, str(_total(ops)), _leap(ops))


def table(rng: random.Random, n: int, ask: str) -> Task:
    """A table of coloured rows with three numbers each: the total of `n` rows, or the difference of two."""
    while True:
        rows = rng.sample(PAINTS, rng.randint(max(2, n), GRID))
        numbers = [[rng.randint(1, 9) for _ in range(3)] for _ in rows]
        chosen = rng.sample(range(len(rows)), n if ask == "total" else 2)
        signs = {row: "+" if ask == "total" or i == 0 else "-" for i, row in enumerate(chosen)}
        ops = [[(signs[r], v) for v in numbers[r]] if r in signs else [] for r in range(len(rows))]
        ops += [[] for _ in range(GRID - len(rows))]
        if ask == "total" or _never_negative(ops):
            break
    cells = {}
    for r, colour in enumerate(rows):
        cells[str(r * GRID)] = [colour, "swatch", None]
        for k, value in enumerate(numbers[r]):
            cells[str(r * GRID + k + 1)] = ["black", "number", value]
    names = [rows[r] for r in chosen]
    if ask == "total":
        which = f"the {names[0]} row" if n == 1 else f"the {', '.join(names[:-1])} and {names[-1]} rows"
        text = rng.choice(
            [f"What is the total of {which}?", f"How much do the numbers of {which} add up to?"]
        )
    else:
        text = f"How much more is in the {names[0]} row than in the {names[1]} row?"
    scene = {"figure": "table", "style": _style(rng), "cells": cells}
    return Task(f"table {ask}", n, scene, text, ops, str(_total(ops)), _leap(ops))


# MiniMMMU: several subjects, multiple choice


def coins(rng: random.Random, n: int) -> Task:
    cells = {str(c): ["black", "coin", rng.choice([1, 2, 5, 10, 20])] for c in _cells(rng, n)}
    ops = _reading_ops(cells, "+")
    text = rng.choice(["How much money is this?", "What are the coins worth together?"])
    scene, total = {"figure": "coins", "style": _style(rng), "cells": cells}, _total(ops)
    return Task("coins", n, scene, text, ops, str(total), _leap(ops), choices=near_choices(rng, total))


def scales(rng: random.Random, n: int) -> Task:
    """Weights on two pans, `n` in all: left minus right."""
    while True:
        left = rng.randint(1, n - 1)
        sides = rng.sample([0, 1, 4, 5, 8, 9], min(left, 6)) + rng.sample(
            [2, 3, 6, 7, 10, 11], min(n - left, 6)
        )
        cells = {
            str(c): ["left" if c % 4 < 2 else "right", "weight", rng.randint(1, 9)] for c in sorted(sides)
        }
        ops: list[list[Op]] = [[] for _ in range(GRID)]
        for cell, (side, _, number) in cells.items():
            ops[_line_of(int(cell))].append(("+" if side == "left" else "-", number))
        if _never_negative(ops):
            break
    text = rng.choice(
        ["How much heavier is the left side?", "How much more weighs the left side than the right?"]
    )
    scene, total = {"figure": "scales", "style": _style(rng), "cells": cells}, _total(ops)
    return Task("scales", n, scene, text, ops, str(total), _leap(ops), choices=near_choices(rng, total))


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
    others = {
        f"{h}:{m % 60:02d}" for h in (end_hour, end_hour % 12 + 1) for m in (end, end + 5, end + 55, end + 30)
    }
    choices = rng.sample(sorted(others - {value}), 3) + [value]
    rng.shuffle(choices)
    text = f"What time will the clock show in {later} minutes?" if later else "What time does the clock show?"
    scene = {"figure": "clock", "style": _style(rng), "cells": {}, "clock": [hour, minute]}
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
        if _never_negative(ops):
            break
    text = "What do all tubes show together?"
    if ask == "difference":
        text = f"How much warmer is the {colours[one]} tube than the {colours[two]} tube?"
    shown = list(map(list, zip(colours, heights, strict=True)))
    scene, total = {"figure": "tubes", "style": _style(rng), "cells": {}, "bars": shown}, _total(ops)
    return Task(
        f"tubes {ask}", n, scene, text, ops, str(total), _leap(ops), choices=near_choices(rng, total, 10)
    )


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
            ops[_line_of(cell)].append(("+", 1))
    what = {"colour": f"{colour} shapes", "shape": f"{shape}s", "both": f"{colour} {shape}s"}[by]
    text = rng.choice([f"How many {what} are there?", f"Count the {what}. How many do you see?"])
    scene = {"figure": "shapes", "style": _style(rng), "cells": {str(c): cells[c] for c in sorted(cells)}}
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
    row = _line_of(spots[0])
    ops: list[list[Op]] = [[("!", 0)] if r == row else [] for r in range(GRID)]
    text = "Which row holds the odd one out?" if odd else f"Which row holds the {colour} {shape}?"
    choices = [f"row {r}" for r in rng.sample(range(1, GRID + 1), GRID)]
    scene = {"figure": "shapes", "style": _style(rng), "cells": {str(c): cells[c] for c in sorted(cells)}}
    return Task("odd" if odd else "find", n, scene, text, ops, f"row {row + 1}", "look", choices=choices)


KINDS: dict[str, dict[str, tuple[Callable[[random.Random, int], Task], list[int]]]] = {
    "MiniVision": {
        "sum": (lambda r, n: digits(r, n, False), list(range(1, 11))),
        "signed": (lambda r, n: digits(r, n, True), list(range(2, 9))),
    },
    "MiniVerse": {
        "triangle": (lambda r, n: angles(r, n, 180, True), [2]),
        "line": (lambda r, n: angles(r, n, 180, False), [1, 2, 3]),
        "point": (lambda r, n: angles(r, n, 360, False), [2, 3, 4]),
        "perimeter": (perimeter, [3, 4, 5, 6, 7]),
    },
    "MiniVista": {
        "bars total": (lambda r, n: bars(r, n, "total"), [2, 3, 4]),
        "bars difference": (lambda r, n: bars(r, n, "difference"), [2, 3, 4]),
        "highest": (lambda r, n: bars(r, n, "highest"), [3, 4]),
        "table total": (lambda r, n: table(r, n, "total"), [1, 2, 3]),
        "table difference": (lambda r, n: table(r, n, "difference"), [2]),
    },
    "MiniMMMU": {
        "coins": (coins, list(range(1, 9))),
        "scales": (scales, list(range(2, 8))),
        "clock": (clock, [1, 2, 3]),
        "tubes total": (lambda r, n: tubes(r, n, "total"), [2, 3, 4]),
        "tubes difference": (lambda r, n: tubes(r, n, "difference"), [2, 3, 4]),
    },
    "MiniStar": {
        "count colour": (lambda r, n: count(r, n, "colour"), list(range(1, 11))),
        "count shape": (lambda r, n: count(r, n, "shape"), list(range(1, 11))),
        "count both": (lambda r, n: count(r, n, "both"), list(range(1, 9))),
        "find": (lambda r, n: find(r, n, False), [4, 8, 12]),
        "odd": (lambda r, n: find(r, n, True), [4, 8, 12]),
    },
}


def with_choices(question: str, choices: list[str]) -> str:
    return question + "".join(f"\n({letter}) {text}" for letter, text in zip("ABCD", choices, strict=False))


def told(task: Task) -> str:
    """The scene in words, for the text-only telling of a question."""
    from studylib.world.scenes import reading

    return " ".join(reading(label, items) for label, items in lines(task.scene))
