"""Programs that know the scene: the base's short way, and the two teachers of long chains of thought.

`short` goes over the picture once, and says the first hop of a two-hop question from a glance. `careful` works that hop
out, goes over the picture, and checks from below (the part of s1.1-R1); `rambling` is as long, but muses where
`careful` checks, and goes wrong (the part of s1-Gemini2). `world.checker` scores what a model makes of them.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from studylib.world.scenes import PAINTS, SHAPES, lines, reading
from studylib.world.tasks import Hop, Op, Task

OPENINGS = ["Let me go step by step.", "Okay, let me look closely."]
CHECKS = ["Wait, let me check.", "Let me check that again."]
DIFFERENT = "That was not the same."
MUSINGS = [
    "Hmm, maybe I should look at the colours first.", "Alternatively, I could begin at the bottom.",
    "However, this may not matter.", "Let me consider the whole picture again.", "Perhaps the order is important.",
    "It could also be seen in another way.", "I wonder what the question really means.",
    "But wait, there may be more to it.", "Let me think about what is asked.", "So many things are here.",
]  # fmt: skip
FAR = 99  # where the search for a minimum begins


class Trace(NamedTuple):
    """A teacher's text, and the character spans of its deliberate slips, which no loss may teach."""

    text: str
    masked: list[list[int]]


def operation(op: Op, total: int) -> tuple[str, int]:
    """One sum in words, and the running total after it.

    Spaces stand around signs so that a number is made of the same tokens wherever it is copied to.
    """
    sign, value = op
    after = total + value if sign == "+" else total - value
    return f"{total} {sign} {value} = {after}.", after


def operations(ops: list[Op], total: int) -> tuple[list[str], int]:
    steps = []
    for op in ops:
        step, total = operation(op, total)
        steps.append(step)
    return steps, total


def line_steps(label: str, items: list[str], ops: list[Op], total: int) -> tuple[list[str], int]:
    """A line of the scene read aloud, then what follows from it."""
    steps, total = operations(ops, total)
    return [reading(label, items), *steps], total


def one_pass(task: Task, upwards: bool = False) -> list[str]:
    """Every line of the scene with the running total."""
    every = list(zip(lines(task.scene), task.ops, strict=True))
    steps, total = [], task.start
    for (label, items), ops in reversed(every) if upwards else every:
        more, total = line_steps(label, items, ops, total)
        steps += more
    return steps


def glance(task: Task) -> list[str]:
    """The first hop, said without work."""
    return [f"It is {task.hop['pick']}."] if task.hop else []


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
    values = task.hop["parts"].get(label)
    if task.hop["sort"] == "total" and values is not None:
        work = line_steps(label, items, [("+", v) for v in values], 0)[0]
    else:
        work = [reading(label, items)]
    more, best = comparisons(task.hop["want"], candidates(task.hop, label, items), best)
    return [*work, *more], best


def candidates(hop: Hop, label: str, items: list[str]) -> list[tuple[str, int]]:
    """The candidates of a line with their names: each number by its colour or side, or the line's total by the line."""
    values = hop["parts"].get(label)
    if values is None:
        return []
    if hop["sort"] == "scan":
        owners = [words[0] if len(words) > 1 else "" for words in map(str.split, items) if words[-1].isdigit()]
        return list(zip(owners, values, strict=True))
    return [(items[0] if items and items[0] in PAINTS else label, sum(values))]


def conclusion(task: Task) -> str:
    return f"That gives {task.value}."


def answer(task: Task) -> str:
    return task.letter or task.value


def final(task: Task) -> str:
    """The last sentence; where there are options it copies the option with its letter."""
    return f"The answer is {task.value} ({task.letter})." if task.choices else f"The answer is {task.value}."


def short(task: Task) -> str:
    """The base's way: the first hop from a glance, then one pass over the picture."""
    return " ".join([*glance(task), *one_pass(task), conclusion(task), final(task)])


def boxed(thought: str, task: Task) -> str:
    """The format that the arms are asked for."""
    return f"<think>{thought}</think>\\boxed{{{answer(task)}}}"


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


class Slip(NamedTuple):
    steps: list[tuple[str, bool]]  # a pass, and which of its steps is the slip
    total: int
    line: str


def _slipped_pass(task: Task, rng: random.Random) -> Slip | None:
    """A pass in which one number that counts is misread; None where the picture has none to misread."""
    every = list(zip(lines(task.scene), task.ops, strict=True))
    numbers = [(i, k) for i, (_, ops) in enumerate(every) for k, (_, value) in enumerate(ops) if value > 1]
    if not numbers:
        return None
    place, k = rng.choice(numbers)
    sign, value = every[place][1][k]
    seen = _near(rng, value)
    steps, total = [], task.start
    for i, ((label, items), ops) in enumerate(every):
        if i == place:
            spot = next(j for j, item in enumerate(items) if item.split()[-1] == str(value))
            items = [*items[:spot], " ".join([*items[spot].split()[:-1], str(seen)]), *items[spot + 1 :]]
            ops = [*ops[:k], (sign, seen), *ops[k + 1 :]]
        more, total = line_steps(label, items, ops, total)
        steps += [(step, i == place and j == 0) for j, step in enumerate(more)]
    return Slip(steps, total, every[place][0][0])


def careful(task: Task, rng: random.Random, slips: float = 0.0) -> Trace:
    """First hop, pass, then the pass again from below. In a share `slips` of traces a number of the first pass is
    misread; the check notices the line that differs, reads it once more, and its total is the answer."""
    slipped = _slipped_pass(task, rng) if rng.random() < slips else None
    parts: list[tuple[str, bool]] = [(rng.choice(OPENINGS), False)] + [(step, False) for step in first_hop(task)]
    if slipped is None:
        parts += [(step, False) for step in [*one_pass(task), conclusion(task), rng.choice(CHECKS)]]
        parts += [(step, False) for step in one_pass(task, upwards=True)]
        parts.append((f"Yes, {task.value}.", False))
    else:
        parts += [*slipped.steps, (f"That gives {slipped.total}.", False), (rng.choice(CHECKS), False)]
        for step in one_pass(task, upwards=True):
            parts.append((step, False))
            if step.startswith(f"{slipped.line}:"):
                parts += [(f"{DIFFERENT} Again {step}", False)]
        parts.append((f"No, {task.value}.", False))
    parts.append((final(task), False))
    return _trace(parts, task)


def _trace(parts: list[tuple[str, bool]], task: Task) -> Trace:
    text, masked = "", []
    start = len("<think>")
    for part, wrong in parts:
        if wrong:
            masked.append([start + len(text), start + len(text) + len(part)])
        text += part + " "
    return Trace(boxed(text.rstrip(), task), masked)


def rambling(task: Task, rng: random.Random) -> Trace:
    """As long as `careful`, with musings in place of work and check; misread lines and wrong sums stay unrepaired."""
    steps, total = glance(task), task.start
    for (label, items), ops in zip(lines(task.scene), task.ops, strict=True):
        steps += rng.sample(MUSINGS, rng.randint(1, 2))
        steps.append(reading(label, _misread(rng, items) if items and rng.random() < 0.15 else items))
        for op in ops:
            step, after = operation(op, total)
            if rng.random() < 0.12:
                after = max(0, after + rng.choice([-2, -1, 1, 2]))
                step = f"{step.split('=')[0]}= {after}."
            steps.append(step)
            total = after
    value = str(total)
    steps += [f"That gives {value}.", *rng.sample(MUSINGS, 2)]
    if task.choices:
        return Trace(boxed(" ".join([*steps, final(task)]), task), [])
    return Trace(f"<think>{' '.join([*steps, f'The answer is {value}.'])}</think>\\boxed{{{value}}}", [])
