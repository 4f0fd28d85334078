"""Programs that know the scene: the base's short manner, and the two teachers of long chains of thought.

`careful` reads the picture, goes step by step, notices and repairs a slip, and checks (the part of s1.1-R1);
`rambling` is as long, but unchecked and error-prone (the part of s1-Gemini2). `check_steps` scores any trace.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from studylib.world.scenes import PAINTS, SHAPES, lines, reading
from studylib.world.tasks import Op, Task

FIRSTS = [
    ["First", "Next", "Then", "Finally"],
    ["First", "Second", "Third", "Last"],
    ["Start with", "Now", "Then", "And"],
]
OPENINGS = ["Let me go step by step.", "Okay, let me look closely."]
CHECKS = ["Wait, let me check.", "Let me check that again."]
MUSINGS = [
    "Hmm, maybe I should look at the colours first.", "Alternatively, I could begin at the bottom.",
    "However, this may not matter.", "Let me consider the whole picture again.", "Perhaps the order is important.",
    "It could also be seen in another way.", "I wonder what the question really means.",
    "But wait, there may be more to it.", "Let me think about what is asked.", "So many things are here.",
]  # fmt: skip


def operation(op: Op, total: int) -> tuple[str, int]:
    """One elementary step in words, and the running total after it."""
    sign, value = op
    if sign == "!":
        return "found.", total
    if sign == ">":
        return (f"{value}>{total}.", value) if value > total else (f"{value}<{total}.", total)
    after = total + value if sign == "+" else total - value
    return f"{total}{sign}{value}={after}.", after


def line_steps(label: str, items: list[str], ops: list[Op], total: int) -> tuple[list[str], int]:
    """A line of the scene read aloud, then what follows from it."""
    steps = [reading(label, items)]
    for op in ops:
        step, total = operation(op, total)
        steps.append(step)
    return steps, total


def one_pass(task: Task, words: Sequence[str] = ()) -> list[str]:
    """Every line of the scene in turn, with the running total; each line begins with its word where there are any."""
    told, total = [], task.start
    for i, ((label, items), ops) in enumerate(zip(lines(task.scene), task.ops, strict=True)):
        steps, total = line_steps(label, items, ops, total)
        told += [f"{words[i]}, {steps[0]}" if words else steps[0], *steps[1:]]
    return told


def conclusion(task: Task) -> str:
    if task.kind in ("find", "odd"):
        return f"It is {task.value}."
    if task.kind == "highest":
        return f"The highest is {task.value}."
    return f"That gives {task.value}."


def answer(task: Task) -> str:
    return task.letter or task.value


def short(task: Task) -> str:
    """The base's manner: one leap to the answer."""
    if task.kind.startswith("count"):
        leap = f"There are {task.value}."
    elif task.kind in ("find", "odd", "highest"):
        leap = conclusion(task)
    elif task.leap == task.value:
        leap = f"{task.value}."
    else:
        leap = f"{task.leap}={task.value}."
    return f"{leap} The answer is {answer(task)}."


def _slip(rng: random.Random, step: str) -> str | None:
    """A wrong version of a sum, as one makes it and notices it."""
    sums = re.fullmatch(r"(.+=)(\d+)\.", step)
    return f"{sums[1]}{abs(int(sums[2]) + rng.choice([-2, -1, 1, 2]))}." if sums else None


def careful(task: Task, rng: random.Random, slips: float = 0.25) -> str:
    """Two passes, line by line with a running total; one slip in four traces is made, noticed and repaired."""
    words = rng.choice(FIRSTS)
    told, total, slip_left = (
        [rng.choice(OPENINGS)],
        task.start,
        rng.random() < slips,
    )
    for i, ((label, items), ops) in enumerate(zip(lines(task.scene), task.ops, strict=True)):
        steps, total = line_steps(label, items, ops, total)
        told.append(f"{words[min(i, 3)]}, {steps[0]}")
        for step in steps[1:]:
            wrong = _slip(rng, step) if slip_left and rng.random() < 0.4 else None
            if wrong:
                slip_left = False
                told += [wrong, f"Wait, that is a mistake: {step}"]
            else:
                told.append(step)
    told += [conclusion(task), rng.choice(CHECKS)]
    told += one_pass(task)
    told.append(f"Yes, {task.value}.")
    return _wrap(task, told)


def _wrap(task: Task, told: list[str]) -> str:
    if task.choices:
        told = [*told, f"{task.value} is ({task.letter})."]
    return f"<think>{' '.join(told)}</think>\\boxed{{{answer(task)}}}"


def _misread(rng: random.Random, items: list[str]) -> list[str]:
    """One item of a line read wrongly."""
    if not items:
        return items
    k, swap = rng.randrange(len(items)), list(items)
    word = swap[k].split()
    spot = rng.randrange(len(word))
    if word[spot].isdigit():
        word[spot] = str(max(1, int(word[spot]) + rng.choice([-2, -1, 1, 2])))
    elif word[spot] in PAINTS:
        word[spot] = rng.choice(PAINTS)
    elif word[spot] in SHAPES:
        word[spot] = rng.choice(SHAPES)
    swap[k] = " ".join(word)
    return swap


def rambling(task: Task, rng: random.Random) -> str:
    """As long as `careful`, but with musings instead of a check; lines are misread and sums go wrong, unrepaired."""
    told, total = [], task.start
    for (label, items), ops in zip(lines(task.scene), task.ops, strict=True):
        told += rng.sample(MUSINGS, rng.randint(1, 2))
        told.append(reading(label, _misread(rng, items) if rng.random() < 0.15 else items))
        for op in ops:
            step, after = operation(op, total)
            wrong = _slip(rng, step) if rng.random() < 0.12 else None
            told.append(wrong or step)
            total = int(re.findall(r"\d+", wrong)[-1]) if wrong else after
    value = str(total) if task.value.isdigit() else task.value
    told += [f"That gives {value}.", *rng.sample(MUSINGS, 2)]
    if not task.choices:
        return f"<think>{' '.join(told)}</think>\\boxed{{{value}}}"
    return _wrap(task, told)


STATEMENT = re.compile(
    r"(?P<label>row \d|bar \d|tube \d|clock): (?P<items>[^.:]*)\."
    r"|(?P<a>-?\d+)(?P<op>[+\-])(?P<b>\d+)=(?P<c>-?\d+)\.|(?P<x>\d+)(?P<cmp>[<>])(?P<y>\d+)\."
)


def check_steps(program: dict, trace: str) -> tuple[int, int]:
    """How many steps of a trace are right by the scene's program, and how many there are.

    `program` holds `scene`, `ops` and `start`. A reading is right if it says what that line of the picture shows;
    a sum or comparison, if it is true, carries the total on, and uses an operand that the line read last calls for.
    """
    told = dict(lines(program["scene"]))
    ops = {label: [tuple(op) for op in line] for label, line in zip(told, program["ops"], strict=True)}
    first, label, total, right, count = next(iter(told)), None, program["start"], 0, 0
    for m in STATEMENT.finditer(trace):
        count += 1
        if m["label"]:
            label = m["label"]
            right += label in told and m["items"] == (" ".join(told[label]) or "none")
            total = program["start"] if label == first else total
        elif m["op"]:
            a, b, c = int(m["a"]), int(m["b"]), int(m["c"])
            true = c == (a + b if m["op"] == "+" else a - b)
            right += true and a == total and (m["op"], b) in ops.get(label, [])
            total = c
        else:
            x, y = int(m["x"]), int(m["y"])
            right += (x > y) == (m["cmp"] == ">") and y == total and (">", x) in ops.get(label, [])
            total = max(x, y)
    return right, count
