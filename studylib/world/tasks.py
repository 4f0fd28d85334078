"""A task: a question about a scene, and how its answer follows from it.

A task holds, for every item of every line of the scene as read aloud, the operation that it calls for in the last pass
over the picture: `("+", 3)`, `("-", 4)`, or None. A question of two hops holds its first hop too: what must be known
before that pass can begin. The answer is exact by construction.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypedDict

from studylib.world.scenes import GRID, Scene, lines, reading

Op = tuple[str, int]
Ops = list[list[Op | None]]  # by line and item, as `scenes.lines` reads them


class Hop(TypedDict):
    """The first of two hops: which of several candidates has the most or the least.

    sort: "scan" (every number of a line is a candidate, named by its colour or side where it has one) or "total" (what
    a line adds up to is one, named by the line). want: "most" or "least". parts: for the lines that have candidates,
    the number that each item adds (None: nothing). passes: the candidates in reading order, each with the last pass
    that would follow from it. pick: the right one.
    """

    sort: str
    want: str
    parts: dict[str, list[int | None]]
    passes: dict[str, Ops]
    pick: str


@dataclass
class Task:
    kind: str
    n: int
    scene: Scene
    question: str
    ops: Ops
    value: str
    start: int = 0
    choices: list[str] = field(default_factory=list)
    given: str = ""
    version: str = ""
    hop: Hop | None = None

    @property
    def letter(self) -> str:
        return self.letter_of(self.value)

    def letter_of(self, value: str) -> str:
        """The letter of an option; "" where there are none."""
        return "ABCD"[self.choices.index(value)] if self.choices else ""


def new_style(rng: random.Random) -> int:
    return rng.randrange(2**31)


def line_of(cell: int) -> int:
    return cell // GRID


def total_of(ops: Ops, start: int = 0) -> int:
    total = start
    for op, value in filter(None, (o for line in ops for o in line)):
        total = total + value if op == "+" else total - value
    return total


def never_negative(ops: Ops) -> bool:
    total = 0
    for op, value in filter(None, (o for line in ops for o in line)):
        total += value if op == "+" else -value
        if total < 0:
            return False
    return total > 0


def near_choices(rng: random.Random, value: int, step: int = 1, tempting: list[int] | None = None) -> list[str]:
    """Four options: the answer, the values that tempt (those that another first hop would give), and near numbers."""
    others = [other for other in dict.fromkeys(tempting or []) if other != value][:3]
    near = [n for n in (value + step * d for d in (-4, -3, -2, -1, 1, 2, 3, 4)) if n >= 0 and n not in others]
    options = [value, *others, *rng.sample(near, 3 - len(others))]
    rng.shuffle(options)
    return [str(option) for option in options]


def by_item(cells: dict[str, list], op_of: Callable[[list], Op | None]) -> Ops:
    """The operation of each cell of a figure, row by row. cells: in reading order."""
    ops: Ops = [[] for _ in range(GRID)]
    for cell, look in cells.items():
        ops[line_of(int(cell))].append(op_of(look))
    return ops


def reading_ops(cells: dict[str, list], op: str) -> Ops:
    """The same operation for every number of a figure."""
    return by_item(cells, lambda look: None if look[2] is None else (op, look[2]))


def only_extreme(values: dict[str, int], want: str) -> str | None:
    """The candidate with the most (or least); None where two share it."""
    best = (max if want == "most" else min)(values.values())
    picks = [name for name, value in values.items() if value == best]
    return picks[0] if len(picks) == 1 else None


def numbers_by_row(ops: Ops) -> dict[str, list[int | None]]:
    """The numbers that items add, under the labels of their rows; rows without any are left out."""
    rows = {f"row {i}": [op and op[1] for op in line] for i, line in enumerate(ops, 1)}
    return {label: numbers for label, numbers in rows.items() if any(numbers)}


def totals(parts: dict[str, list[int | None]]) -> dict[str, int]:
    """What each line adds up to."""
    return {label: sum(filter(None, numbers)) for label, numbers in parts.items()}


def hop_to_owner(cells: dict[str, list], want: str) -> Hop | None:
    """The hop to whose colour or side the largest (smallest) number is; None where that number is there twice.

    Then that owner's numbers are added.
    """
    cell = only_extreme({cell: number for cell, (_, _, number) in cells.items()}, want)
    owners = dict.fromkeys(owner for owner, _, _ in cells.values())
    if cell is None:
        return None
    passes = {own: by_item(cells, lambda look, own=own: ("+", look[2]) if look[0] == own else None) for own in owners}
    parts = numbers_by_row(reading_ops(cells, "+"))
    return Hop(sort="scan", want=want, parts=parts, passes=passes, pick=cells[cell][0])


def hop_to_row(every: Ops, parts: dict[str, list[int | None]], want: str) -> Hop | None:
    """The hop to the row that adds up to the most (least); None where two do. Then the others are added."""
    pick = only_extreme(totals(parts), want)
    if pick is None or len(parts) < 2:
        return None

    def without(row: str) -> Ops:
        return [[None] * len(line) if f"row {i}" == row else line for i, line in enumerate(every, 1)]

    left_out = {row: without(row) for row in parts}
    return Hop(sort="total", want=want, parts=parts, passes=left_out, pick=pick)


def values_of(hop: Hop) -> list[int]:
    """What each candidate of a first hop would give."""
    return [total_of(ops) for ops in hop["passes"].values()]


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
    pairs = list(zip(items, task.ops, strict=True))
    acts = sum(count for count, ops in pairs if any(ops)) + sum(op is not None for ops in task.ops for op in ops)
    if task.hop is None:
        return acts
    return acts + sum(items) + sum(number is not None for part in task.hop["parts"].values() for number in part)
