"""What the base learns: short answers, mostly easy ones, and every elementary act that long traces are made of."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from studylib.engine.prompts import INSTRUCTION
from studylib.world.benchmarks import KINDS
from studylib.world.questions import VERSIONS, question_text
from studylib.world.scenes import GRID, PAINTS, SHAPES, draw, lines, reading
from studylib.world.tasks import Task, told, with_choices
from studylib.world.teachers import (
    CHECKS,
    FIRSTS,
    MUSINGS,
    OPENINGS,
    answer,
    conclusion,
    line_steps,
    one_pass,
    short,
)

# What a stretch of the base's training is made of. Acts first: until letters are named and totals carried, whole
# questions teach little. Then mostly whole questions; then the same with more letters and passes over the picture.
ACTS = {
    "short": 0.18, "instructed": 0.02, "told short": 0.06, "describe": 0.04, "line": 0.02, "part": 0.14,
    "pass": 0.12, "told pass": 0.15, "chain": 0.12, "choose": 0.15,
}  # fmt: skip
WHOLE = {
    "short": 0.32, "instructed": 0.05, "told short": 0.04, "describe": 0.05, "line": 0.02, "part": 0.13,
    "pass": 0.16, "told pass": 0.10, "chain": 0.06, "choose": 0.07,
}  # fmt: skip
LETTERS = {
    "short": 0.26, "instructed": 0.03, "told short": 0.03, "describe": 0.04, "part": 0.08,
    "pass": 0.20, "told pass": 0.15, "chain": 0.03, "choose": 0.18,
}  # fmt: skip
# The words of the teachers, known to any instruct model: in what follows them, in a repaired slip, and by themselves.
MANNERS = {
    "short": 0.22, "instructed": 0.03, "told short": 0.03, "describe": 0.03, "part": 0.08,
    "pass": 0.23, "told pass": 0.16, "chain": 0.02, "choose": 0.09, "mend": 0.06, "repeat": 0.05,
}  # fmt: skip
# The arms' format as well known as the base's own manner, letters above all: a base that loses what it knows when
# asked for a box would make every arm look better or worse for its instruction alone.
BOXES = {
    "short": 0.16, "instructed": 0.38, "told short": 0.02, "describe": 0.02, "part": 0.04,
    "pass": 0.15, "told pass": 0.06, "choose": 0.13, "mend": 0.02, "repeat": 0.02,
}  # fmt: skip


# How often the base, told to reason step by step, does: it leaps mostly, and RL may find what is worth more.
BY_LINE = 0.3


@dataclass
class Example:
    image: Image.Image | None
    question: str
    response: str


def easy_task(rng: random.Random) -> Task:
    """A task of any benchmark, its size drawn by 1/n: easy questions are the most common in the base's diet."""
    kinds = KINDS[rng.choice(list(KINDS))]
    make, sizes = kinds[rng.choice(list(kinds))]
    return make(rng, rng.choices(sizes, [1 / (i + 1) for i in range(len(sizes))])[0])


def any_task(rng: random.Random) -> Task:
    kinds = KINDS[rng.choice(list(KINDS))]
    make, sizes = kinds[rng.choice(list(kinds))]
    return make(rng, rng.choice(sizes))


def asked(task: Task, rng: random.Random | None = None) -> str:
    """The question; with a generator in any version of MiniVerse, from all in words to the picture alone."""
    version = rng.choice(VERSIONS["MiniVerse"]) if rng and task.given else "text-lite"
    return question_text(dataclasses.replace(task, version=version))


def _part(task: Task, rng: random.Random) -> tuple[str, str]:
    """One or two lines from a total so far: a stretch of a trace, taken out of the middle."""
    every = list(zip(lines(task.scene), task.ops, strict=True))
    start = rng.randrange(len(every))
    stretch = every[start : start + rng.randint(1, 2)]
    total = (
        task.start
        if start == 0
        else rng.choice([task.start, max(0, task.start - rng.randint(1, 90)), rng.randint(0, 90)])
    )
    steps: list[str] = []
    left = total
    for (label, items), ops in stretch:
        if any(op[0] == "-" for op in ops) and left < sum(op[1] for op in ops):
            left = total = total + 180
        more, left = line_steps(label, items, ops, left)
        steps += more
    labels = " and ".join(label for (label, _), _ in stretch)
    return f"{asked(task)}\nOnly {labels}, from {total}.", " ".join(steps)


def _by_line(task: Task, words: Sequence[str] = ()) -> str:
    """One pass over the picture and what follows from it."""
    return " ".join([*one_pass(task, words), conclusion(task), f"The answer is {answer(task)}."])


def _pass(task: Task, question: str, rng: random.Random) -> tuple[str, str]:
    """One pass over the picture; every other time its lines begin with the words that the question names."""
    if rng.random() < 0.5:
        return f"{question}\nLine by line.", _by_line(task)
    words = rng.choice(FIRSTS)
    return f"{question}\nLine by line: {', '.join(words)}.", _by_line(task, words)


def _instructed(question: str, said: str, task: Task) -> tuple[str, str]:
    """The arms' prompt and format."""
    return f"{question}\n{INSTRUCTION}", f"<think>{said}</think>\\boxed{{{answer(task)}}}"


def _mend(rng: random.Random) -> tuple[str, str]:
    """A sum that is right, or wrong by one or two and put right."""
    total, value = rng.randint(0, 99), rng.randint(1, 19)
    sign = rng.choice("+-") if value <= total else "+"
    right = total + value if sign == "+" else total - value
    said = max(0, right + rng.choice([-2, -1, 0, 0, 0, 1, 2]))
    verdict = f"Yes, {right}." if said == right else f"Wait, that is a mistake: {total}{sign}{value}={right}."
    return f"{total}{sign}{value}={said}.\nLet me check.", verdict


def _chain(rng: random.Random) -> tuple[str, str]:
    total = rng.choice([0, 0, 180, 360, rng.randint(1, 99)])
    sign = "-" if total >= 180 else "+"
    step = 5 if sign == "-" else 1
    values = [
        step * rng.randint(1, 95 // step if sign == "-" else 20) for _ in range(rng.randint(1, 8 if sign == "+" else 3))
    ]
    question, steps = f"{total}" + "".join(f"{sign}{v}" for v in values), []
    for v in values:
        if sign == "-" and v > total:
            break
        after = total + v if sign == "+" else total - v
        steps.append(f"{total}{sign}{v}={after}.")
        total = after
    return f"{question}\nStep by step.", " ".join(steps)


def example(rng: random.Random, shares: dict[str, float] = WHOLE) -> Example:
    """One question and its response, by the shares of the diet."""
    kind = rng.choices(list(shares), list(shares.values()))[0]
    if kind == "chain":
        return Example(None, *_chain(rng))
    if kind == "mend":
        return Example(None, *_mend(rng))
    if kind == "repeat":
        said = " ".join(rng.sample([*MUSINGS, *OPENINGS, *CHECKS], rng.randint(1, 3)))
        return Example(None, f"Repeat: {said}", said)
    if kind in ("short", "instructed", "told short", "choose"):
        task = easy_task(rng)
        if kind == "choose":
            while not task.choices:
                task = easy_task(rng)
            question = with_choices(f"Choose {task.value}.", task.choices)
            found = f"{task.value} is ({task.letter}). The answer is {task.letter}."
            if rng.random() < 0.5:
                return Example(None, *_instructed(question, found, task))
            return Example(None, question, found)
        if kind == "told short":
            return Example(None, f"{told(task)} {asked(task)}", short(task))
        question = asked(task, rng)
        if kind == "instructed":
            said = _by_line(task) if rng.random() < BY_LINE else short(task)
            return Example(draw(task.scene), *_instructed(question, said, task))
        return Example(draw(task.scene), question, short(task))
    task = any_task(rng)
    if kind == "describe":
        return Example(draw(task.scene), "Describe the picture.", told(task))
    if kind == "line":
        label, items = rng.choice(lines(task.scene))
        return Example(draw(task.scene), f"Read {label}.", reading(label, items))
    if kind == "part":
        return Example(draw(task.scene), *_part(task, rng))
    if kind == "pass":
        return Example(draw(task.scene), *_pass(task, asked(task, rng), rng))
    return Example(None, *_pass(task, f"{told(task)} {asked(task)}", rng))


# Pictures of the vision stage: what is hard to see (small labels, the hands of a clock) is shown most.
VISION = {
    ("MiniVision", "sum"): 3, ("MiniVerse", "point"): 3, ("MiniVerse", "triangle"): 2, ("MiniVerse", "perimeter"): 4,
    ("MiniVerse", "line"): 1, ("MiniVista", "bars total"): 1,
    ("MiniVista", "table total"): 1.5, ("MiniMMMU", "coins"): 2,
    ("MiniMMMU", "scales"): 1, ("MiniMMMU", "clock"): 9,
    ("MiniMMMU", "tubes total"): 1, ("MiniStar", "count both"): 1.5,
}  # fmt: skip


def vision_scene(rng: random.Random) -> dict:
    benchmark, kind = rng.choices(list(VISION), list(VISION.values()))[0]
    make, sizes = KINDS[benchmark][kind]
    return make(rng, rng.choice(sizes[-3:])).scene


HEADS = {"colour": 9, "glyph": 12, "tens": 11, "ones": 11, "level": 11, "hour": 13, "minute": 13}
_GLYPHS = ["digit", "label", "number", "swatch", "coin", "weight", "x", *SHAPES]
_PAINTS = [*PAINTS, "black", "left", "right"]


def patch_targets(scene: dict) -> dict[str, list[int]]:
    """What lies under each of the 16 merged patches, for the vision stage: class 0 is nothing, per head of HEADS."""
    targets = {head: [0] * (GRID * GRID) for head in HEADS}
    for cell, (colour, glyph, number) in scene["cells"].items():
        i = int(cell)
        targets["colour"][i] = 1 + _PAINTS.index(colour)
        targets["glyph"][i] = 1 + _GLYPHS.index(glyph)
        if number is not None:
            targets["tens"][i] = 1 + number // 10
            targets["ones"][i] = 1 + number % 10
    for column, (colour, height) in enumerate(scene.get("bars", [])):
        for row in range(GRID):
            targets["level"][row * GRID + column] = 1 + (height // 10 if height > 9 else height)
            targets["colour"][row * GRID + column] = 1 + _PAINTS.index(colour)
    if "clock" in scene:
        for cell in (5, 6, 9, 10):
            targets["hour"][cell], targets["minute"][cell] = scene["clock"][0], 1 + scene["clock"][1] // 5
    return targets
