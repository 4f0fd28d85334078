"""Programs that know the scene: the base's short way, and the two teachers of long chains of thought.

A pass reads the picture line by line and carries a total on item by item: "row 1: red 3 makes 3 blue 4 red 2 makes 5."
`short` goes over the picture once, and says the first hop of a two-hop question from a glance. `careful` works that hop
out, goes over the picture, and checks from below (the part of s1.1-R1); `rambling` is as long, but muses where
`careful` checks, and goes wrong (the part of s1-Gemini2). `world.checker` scores what a model makes of them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from studylib.world.scenes import PAINTS, SHAPES, lines, reading
from studylib.world.tasks import Hop, Op, Ops, Task

OPENINGS = ["Let me go step by step.", "Okay, let me look closely."]
CHECKS = ["Wait, let me check.", "Let me check that again."]
MUSINGS = [
    "Hmm, maybe I should look at the colours first.", "Alternatively, I could begin at the bottom.",
    "However, this may not matter.", "Let me consider the whole picture again.", "Perhaps the order is important.",
    "It could also be seen in another way.", "I wonder what the question really means.",
    "But wait, there may be more to it.", "Let me think about what is asked.", "So many things are here.",
]  # fmt: skip
FAR = 99  # where the search for a minimum begins
LURE, TRUTH = 2.0, 1.0  # how much more than another candidate a glance takes the one read first, and the right one


class Trace(NamedTuple):
    """A teacher's text, and the character spans of its deliberate slips, which no loss may teach."""

    text: str
    masked: list[list[int]]


def carried(item: str, op: Op | None, total: int, error: int = 0) -> tuple[str, int]:
    """An item with the running total after it, where it counts: "red 3 makes 12", "red 3 leaves 6", "blue 4"."""
    if op is None:
        return item, total
    sign, value = op
    after = (total + value if sign == "+" else total - value) + error
    return f"{item} {'makes' if sign == '+' else 'leaves'} {after}", after


def line_step(
    label: str, items: list[str], ops: list[Op | None], total: int, before: list[str] | None = None
) -> tuple[str, int]:
    """A line of the scene read aloud, the total carried on; returns the new total too.

    before: the same line as it was read earlier; an item that differs says so ("red 3 not 5 makes 12").
    """
    words = []
    for item, earlier, op in zip(items, before or items, ops, strict=True):
        seen = item if item == earlier else f"{item} not {earlier.split()[-1]}"
        text, total = carried(seen, op, total)
        words.append(text)
    return reading(label, words), total


Line = tuple[str, list[str], list[Op | None]]  # its label, its items, what each calls for


def lines_of(task: Task, ops: Ops | None = None) -> list[Line]:
    """The lines of the scene with the operations of a pass. ops: task.ops unless given."""
    return [(label, items, own) for (label, items), own in zip(lines(task.scene), ops or task.ops, strict=True)]


def line_steps(part: Sequence[Line], total: int, before: Sequence[Line] | None = None) -> tuple[list[str], int]:
    """Line after line with the running total, and what it ends at. before: the same lines as they were read earlier."""
    steps = []
    for (label, items, ops), (_, earlier, _) in zip(part, before or part, strict=True):
        step, total = line_step(label, items, ops, total, earlier)
        steps.append(step)
    return steps, total


def guess(task: Task, rng: random.Random) -> str:
    """A first hop from a glance: the candidate that is read first lures, and the right one is seen a little."""
    names = list(task.hop["passes"])
    weights = [1 + LURE * (name == names[0]) + TRUTH * (name == task.hop["pick"]) for name in names]
    return rng.choices(names, weights)[0]


class Best(NamedTuple):
    """The best so far of what is compared, and whose it is ("" where only the number matters)."""

    number: int
    name: str = ""


def before_any(want: str) -> Best:
    """What the first number of a search is held against."""
    return Best(0 if want == "most" else FAR)


def comparisons(want: str, numbers: list[tuple[str, int]], best: Best | None = None) -> tuple[list[str], Best]:
    """Each number held against the best so far, with whose the best now is: "4 > 0, red.", "2 < 4, red."."""
    best, steps = best or before_any(want), []
    for name, number in numbers:
        relation = ">" if number > best.number else "<" if number < best.number else "="
        step = f"{number} {relation} {best.number}"
        if relation == (">" if want == "most" else "<"):
            best = Best(number, name)
        steps.append(f"{step}, {best.name}." if best.name else f"{step}.")
    return steps, best


def first_hop(task: Task) -> list[str]:
    """The first hop, worked out: line by line, every candidate held against the best so far."""
    if task.hop is None:
        return []
    steps, best = [], None
    for label, items in lines(task.scene):
        more, best = hop_steps(task, label, items, best)
        steps += more
    return [*steps, f"So it is {task.hop['pick']}."]


def hop_steps(task: Task, label: str, items: list[str], best: Best | None) -> tuple[list[str], Best]:
    """One line of the first hop: read, added up where totals are compared, and held against the best so far."""
    ops = hop_ops(task.hop, label, items)
    more, best = comparisons(task.hop["want"], candidates(task.hop, label, items), best)
    return [line_step(label, items, ops, 0)[0], *more], best


def hop_ops(hop: Hop, label: str, items: list[str]) -> list[Op | None]:
    """What each item of a line calls for while a first hop is worked out: a sum where totals are compared."""
    nothing: list[int | None] = [None] * len(items)
    values = hop["parts"].get(label, nothing) if hop["sort"] == "total" else nothing
    return [value and ("+", value) for value in values]


def candidates(hop: Hop, label: str, items: list[str]) -> list[tuple[str, int]]:
    """The candidates of a line with their names: each number by its colour or side, or the line's total by the line."""
    values = hop["parts"].get(label)
    if values is None:
        return []
    if hop["sort"] == "scan":
        named = [(item.split()[0] if " " in item else "", value) for item, value in zip(items, values, strict=True)]
        return [(name, value) for name, value in named if value is not None]
    return [(items[0] if items and items[0] in PAINTS else label, sum(filter(None, values)))]


def conclusion(value: str | int) -> str:
    return f"That gives {value}."


def answer(task: Task) -> str:
    return task.letter or task.value


def final(task: Task, value: str | None = None) -> str:
    """The last sentence, with the letter of the option where there are options. value: task.value unless given."""
    value = value or task.value
    return f"The answer is {value} ({task.letter_of(value)})." if task.choices else f"The answer is {value}."


def short(task: Task, pick: str | None = None) -> tuple[str, str]:
    """The base's way: the first hop from a glance, then one pass over the picture; the text, and what is answered.

    pick: what the glance says, the right candidate unless given.
    """
    glance, ops = [], task.ops
    if task.hop:
        pick = pick or task.hop["pick"]
        glance, ops = [f"It is {pick}."], task.hop["passes"][pick]
    steps, total = line_steps(lines_of(task, ops), task.start)
    text = " ".join([*glance, *steps, conclusion(total), final(task, str(total))])
    return text, task.letter_of(str(total)) or str(total)


def boxed(thought: str, response: str) -> str:
    """The format that the arms are asked for."""
    return f"<think>{thought}</think>\\boxed{{{response}}}"


def _misread(rng: random.Random, items: list[str]) -> list[str]:
    """One item of a line read wrongly: a number off by one or two, or another colour or shape."""
    k, wrong = rng.randrange(len(items)), list(items)
    word = wrong[k].split()
    spot = rng.randrange(len(word))
    if word[spot].isdigit():
        word[spot] = str(max(1, int(word[spot]) + rng.choice([-2, -1, 1, 2])))
    elif word[spot] in PAINTS:
        word[spot] = rng.choice([paint for paint in PAINTS if paint != word[spot]])
    elif word[spot] in SHAPES:
        word[spot] = rng.choice([shape for shape in SHAPES if shape != word[spot]])
    wrong[k] = " ".join(word)
    return wrong


def _near(rng: random.Random, value: int) -> int:
    """A number that a label could have been taken for."""
    step = rng.choice([5, 10]) if value > 20 and value % 5 == 0 else 1
    return value - step if value in (9, 19) else value + step if value <= step else value + rng.choice([-step, step])


def misread_number(rng: random.Random, line: Line, places: list[int]) -> Line:
    """A line with the number at one of these places taken for one near it, and what that one calls for."""
    label, items, ops = line
    k = rng.choice(places)
    *words, number = items[k].split()
    seen = _near(rng, int(number))
    op = ops[k] and (ops[k][0], seen)
    return label, [*items[:k], " ".join([*words, str(seen)]), *items[k + 1 :]], [*ops[:k], op, *ops[k + 1 :]]


def numbered(items: list[str]) -> list[int]:
    """Which items of a line hold a number."""
    return [k for k, item in enumerate(items) if item.split()[-1].isdigit()]


def _slip(every: list[Line], rng: random.Random) -> list[Line]:
    """The lines of a pass with one number misread that counts; as they are where there is none to misread."""
    counts = [[k for k in numbered(items) if ops[k]] for _, items, ops in every]
    if not any(counts):
        return every
    place = rng.choice([i for i, places in enumerate(counts) for _ in places])
    return [*every[:place], misread_number(rng, every[place], counts[place]), *every[place + 1 :]]


def careful(task: Task, rng: random.Random, slips: float = 0.0) -> Trace:
    """First hop, pass, then the pass again from below. In a share `slips` of traces a number of the first pass is
    misread; the check says what it had been taken for, and its total is the answer."""
    every = lines_of(task)
    read = _slip(every, rng) if rng.random() < slips else every
    opening = rng.choice(OPENINGS)
    first, total = line_steps(read, task.start)
    check, again = line_steps(every[::-1], task.start, read[::-1])
    parts = [(step, False) for step in [opening, *first_hop(task)]]
    parts += [(step, seen != line) for step, seen, line in zip(first, read, every, strict=True)]
    verdict = f"{'Yes' if again == total else 'No'}, {task.value}."
    parts += [(step, False) for step in [conclusion(total), rng.choice(CHECKS), *check, verdict, final(task)]]
    return _trace(parts, task)


def _trace(parts: list[tuple[str, bool]], task: Task) -> Trace:
    text, masked = "", []
    start = len("<think>")
    for part, wrong in parts:
        if wrong:
            masked.append([start + len(text), start + len(text) + len(part)])
        text += part + " "
    return Trace(boxed(text.rstrip(), answer(task)), masked)


def rambling(task: Task, rng: random.Random) -> Trace:
    """As long as `careful`, with musings in place of work and check; misread lines and wrong sums stay unrepaired."""
    steps, total = [f"It is {task.hop['pick']}."] if task.hop else [], task.start
    for (label, items), ops in zip(lines(task.scene), task.ops, strict=True):
        steps += rng.sample(MUSINGS, rng.randint(1, 2))
        words = []
        for item, op in zip(_misread(rng, items) if items and rng.random() < 0.15 else items, ops, strict=True):
            error = rng.choice([-2, -1, 1, 2]) if rng.random() < 0.12 else 0
            word, total = carried(item, op, total, error)
            words.append(word)
        steps.append(reading(label, words))
    steps += [conclusion(total), *rng.sample(MUSINGS, 2)]
    if task.choices:
        return Trace(boxed(" ".join([*steps, final(task)]), answer(task)), [])
    return Trace(boxed(" ".join([*steps, f"The answer is {total}."]), str(total)), [])
