"""A task: a question about a scene, and how its answer follows from it.

A task holds, for every line of the scene as read aloud, the elementary operations of its last pass over the picture:
`("+", 3)`, `("-", 4)`. A question of two hops holds its first hop too: what must be known before that pass can begin.
The answer is exact by construction.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TypedDict

from studylib.world.scenes import GRID, Scene, lines, reading

Op = tuple[str, int]


class Hop(TypedDict):
    """The first of two hops: which of several candidates has the most or the least.

    sort: "scan" (every number of a line is a candidate, named by its colour or side where it has one) or "total" (what
    a line adds up to is one, named by the line). parts: for each line the numbers that count. want: "most" or "least".
    """

    sort: str
    want: str
    parts: dict[str, list[int]]
    pick: str


@dataclass
class Task:
    kind: str
    n: int
    scene: Scene
    question: str
    ops: list[list[Op]]
    value: str
    start: int = 0
    choices: list[str] = field(default_factory=list)
    given: str = ""
    version: str = ""
    hop: Hop | None = None

    @property
    def letter(self) -> str:
        return "ABCD"[self.choices.index(self.value)] if self.choices else ""


def new_style(rng: random.Random) -> int:
    return rng.randrange(2**31)


def line_of(cell: int) -> int:
    return cell // GRID


def total_of(ops: list[list[Op]], start: int = 0) -> int:
    total = start
    for op, value in (o for line in ops for o in line):
        total = total + value if op == "+" else total - value
    return total


def never_negative(ops: list[list[Op]]) -> bool:
    total = 0
    for op, value in (o for line in ops for o in line):
        total += value if op == "+" else -value
        if total < 0:
            return False
    return total > 0


def near_choices(rng: random.Random, value: int, step: int = 1, least: int = 0) -> list[str]:
    """Four options, the answer among them, the others within a few steps of it."""
    near = [value + step * d for d in (-4, -3, -2, -1, 1, 2, 3, 4) if value + step * d >= least]
    options = rng.sample(near, 3) + [value]
    rng.shuffle(options)
    return [str(option) for option in options]


def reading_ops(cells: dict[str, list], op: str) -> list[list[Op]]:
    """The same operation for every number of a figure, row by row."""
    ops: list[list[Op]] = [[] for _ in range(GRID)]
    for cell, (_, _, number) in cells.items():
        if number is not None:
            ops[line_of(int(cell))].append((op, number))
    return ops


def only_extreme(values: dict[str, int], want: str) -> str | None:
    """The candidate with the most (or least); None where two share it."""
    best = (max if want == "most" else min)(values.values())
    picks = [name for name, value in values.items() if value == best]
    return picks[0] if len(picks) == 1 else None


def numbers_by_row(cells: dict[str, list]) -> dict[str, list[int]]:
    """The numbers of a figure under the labels of its rows; rows without a number are left out."""
    return {f"row {row}": [n for _, n in line] for row, line in enumerate(reading_ops(cells, "+"), 1) if line}


def hop_to_owner(cells: dict[str, list], want: str) -> Hop | None:
    """The hop to whose colour or side the largest (smallest) number is; None where that number is there twice."""
    cell = only_extreme({cell: number for cell, (_, _, number) in cells.items()}, want)
    return Hop(sort="scan", want=want, parts=numbers_by_row(cells), pick=cells[cell][0]) if cell else None


def owned(cells: dict[str, list], owner: str) -> dict[str, list]:
    """The cells of one colour or side."""
    return {cell: look for cell, look in cells.items() if look[0] == owner}


def with_choices(question: str, choices: list[str]) -> str:
    """The options stand before their letters, where a model of this size finds a letter by what it has just said."""
    options = ", ".join(f"{text} ({letter})" for letter, text in zip("ABCD", choices, strict=False))
    return f"{question}\nOptions: {options}" if choices else question


def in_words(task: Task) -> str:
    """The scene in words, for the text-only version of a question."""
    return " ".join(reading(label, items) for label, items in lines(task.scene))


def steps_needed(task: Task) -> int:
    """Elementary acts that the answer needs: items read, operations of the pass, and the work of a first hop."""
    items = [len(items) for _, items in lines(task.scene)]
    acts = sum(count for count, ops in zip(items, task.ops, strict=True) if ops) + sum(map(len, task.ops))
    if task.hop is None:
        return acts
    work = [len(part) for part in task.hop["parts"].values()]
    return acts + sum(items) + sum(work)
