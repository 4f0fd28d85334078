"""A task: a question about a scene, and how its answer follows from it.

A task holds, for every line of the scene as told in words, the elementary operations that the line calls for:
`("+", 3)`, `("-", 4)`, `(">", 7)` (a new maximum?), `("!", 0)` (found). The answer is exact by construction.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from studylib.world.scenes import GRID, Scene, lines, reading

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


def new_style(rng: random.Random) -> int:
    return rng.randrange(2**31)


def line_of(cell: int) -> int:
    return cell // GRID


def total_of(ops: list[list[Op]], start: int = 0) -> int:
    total = start
    for op, value in (o for line in ops for o in line):
        total = total + value if op == "+" else total - value if op == "-" else max(total, value)
    return total


def never_negative(ops: list[list[Op]]) -> bool:
    total = 0
    for op, value in (o for line in ops for o in line):
        total += value if op == "+" else -value
        if total < 0:
            return False
    return total > 0


def leap_of(ops: list[list[Op]], start: int = 0) -> str:
    text = "".join(f"{op}{value}" for line in ops for op, value in line)
    return f"{start}{text}" if start else text.removeprefix("+")


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


def with_choices(question: str, choices: list[str]) -> str:
    return question + "".join(f"\n({letter}) {text}" for letter, text in zip("ABCD", choices, strict=False))


def told(task: Task) -> str:
    """The scene in words, for the text-only telling of a question."""
    return " ".join(reading(label, items) for label, items in lines(task.scene))
