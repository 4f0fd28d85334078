"""What the language stage of the base is taught: the short way over a picture, and single acts.

Every act that a long chain of thought is made of is here by itself (compare line by line, go over lines from below,
notice a number that was taken for another), on a line or two at first and in the end on whole pictures and in words,
and their composition nowhere: no example works the first hop of a question out and then goes over the picture, none
goes over a picture twice. First hops are said from a glance, which the candidate read first lures away
(`teachers.guess`). A `dose` above 0 breaks the rule on purpose, for chapter 13: so large a share of the instructed
two-hop examples is worked out the long way.
"""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass

from PIL import Image

from studylib.engine.prompts import INSTRUCTION
from studylib.world.benchmarks import KINDS, TRAINED
from studylib.world.questions import VERSIONS, question_text, task_of_hops
from studylib.world.scenes import PAINTS, SHAPES, draw, lines, reading
from studylib.world.tasks import Ops, Task, in_words, with_choices
from studylib.world.teachers import (
    CHECKS,
    MUSINGS,
    OPENINGS,
    Best,
    answer,
    before_any,
    boxed,
    candidates,
    careful,
    carried,
    comparisons,
    final,
    guess,
    hop_steps,
    line_steps,
    lines_of,
    misread_number,
    numbered,
    short,
)

# Shares of the examples. Acts alone at first, on pictures and in texts (to copy, to add, to find a letter): until a
# line is read and a total carried, whole questions teach little.
ACTS = {
    "stretch": 0.22, "describe": 0.16, "hop": 0.14, "below": 0.03, "reread": 0.07,
    "chain": 0.12, "repeat": 0.08, "letters": 0.10, "compare": 0.05, "choose": 0.03,
}  # fmt: skip
WHOLE = {
    "plain": 0.17, "instructed": 0.22, "in words": 0.08,
    "stretch": 0.06, "hop": 0.14, "below": 0.08, "reread": 0.10,
    "chain": 0.03, "repeat": 0.02, "letters": 0.02, "compare": 0.03, "choose": 0.03, "describe": 0.02,
}  # fmt: skip

SHORT, FAR = 2, 4  # lines that an act goes over at most: in the trunk, and in the tails
IN_WORDS = 0.3  # share of the tails' acts that have the picture in words: text-only traces are made of them


@dataclass
class Example:
    image: Image.Image | None
    question: str
    response: str


class Pictures:
    """Tasks with their pictures, each used by several examples: drawing and seeing one costs as much as an answer."""

    REUSE = 0.75

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.known: dict[tuple[str, int], list[tuple[Task, Image.Image]]] = {}

    def task(self, benchmark: str | None = None, hops: int = 0) -> tuple[Task, Image.Image]:
        """A task of any size, with one hop or two (half and half where `hops` does not say)."""
        benchmark = benchmark or self.rng.choice(list(KINDS))
        hops = hops or self.rng.choice([1, 2])
        known = self.known.get((benchmark, hops), [])
        if known and self.rng.random() < self.REUSE:
            return self.rng.choice(known)
        task = task_of_hops(benchmark, hops, self.rng)
        self.known.setdefault((benchmark, hops), []).append((task, draw(task.scene)))
        return self.known[benchmark, hops][-1]


def asked(task: Task, rng: random.Random, words: bool = False) -> str:
    """The question, in any version of MiniVerse, from all in words to the picture alone. words: the picture as well."""
    if words:
        return f"{in_words(task)} {question_text(task)}"
    version = rng.choice(VERSIONS["MiniVerse"]) if task.given else ""
    return question_text(dataclasses.replace(task, version=version))


def _whole(kind: str, pictures: Pictures, rng: random.Random, dose: float) -> Example:
    words = kind == "in words"
    task, image = pictures.task(rng.choice(TRAINED) if words else None)
    question = asked(task, rng, words)
    shown = None if words else image
    text, response = short(task, guess(task, rng) if task.hop else None)
    if kind == "plain" or (words and rng.random() < 0.5):
        return Example(shown, question, text)
    question = f"{question}\n{INSTRUCTION}"
    if task.hop and rng.random() < dose:
        return Example(shown, question, careful(task, rng).text)
    return Example(shown, question, boxed(text, response))


def _known(task: Task, rng: random.Random, words: bool) -> tuple[str, Ops]:
    """The question, with a first hop of two given, and the pass that it calls for: what a stretch of it knows."""
    if task.hop is None:
        return asked(task, rng, words), task.ops
    pick = guess(task, rng)
    return f"{asked(task, rng, words)}\nIt is {pick}.", task.hop["passes"][pick]


def _running(task: Task, rng: random.Random) -> int:
    """A total so far, from which a stretch can begin."""
    if rng.random() < 0.3:
        return task.start
    return max(0, task.start - rng.randint(1, 90)) if task.start else rng.randint(-20, 80)


def _labels(part: list[tuple]) -> str:
    return " and ".join(label for label, *_ in part)


def _stretch(task: Task, rng: random.Random, most: int, words: bool) -> tuple[str, str]:
    """Some lines of a pass, from a total so far."""
    question, ops = _known(task, rng, words)
    every, total = lines_of(task, ops), _running(task, rng)
    start = rng.randrange(len(every))
    part = every[start : start + rng.randint(1, most)]
    return f"{question}\n{_labels(part)}, from {total}.", " ".join(line_steps(part, total)[0])


def _below(task: Task, rng: random.Random, most: int, words: bool) -> tuple[str, str]:
    """Two lines or more of a pass from below, from a total so far."""
    question, ops = _known(task, rng, words)
    every, total = lines_of(task, ops), _running(task, rng)
    start = rng.randrange(1, len(every))
    part = every[start::-1][: rng.randint(2, most + 1)]
    return f"{question}\nFrom below: {_labels(part)}, from {total}.", " ".join(line_steps(part, total)[0])


def _reread(task: Task, rng: random.Random, most: int, words: bool) -> tuple[str, str]:
    """Lines that were gone over before, now from below: the same, or a number had been taken for another."""
    question, ops = _known(task, rng, words)
    every, total = lines_of(task, ops), _running(task, rng)
    start = rng.randrange(len(every) - 1)
    part = every[start : start + (rng.randint(2, most) if most > 2 else 2)]
    earlier = list(part)
    places = [i for i, (_, items, _) in enumerate(part) if numbered(items)]
    if places and rng.random() < 0.6:
        i = rng.choice(places)
        earlier[i] = misread_number(rng, part[i], numbered(part[i][1]))
    before, again = line_steps(earlier, total)[0], line_steps(part[::-1], total, earlier[::-1])[0]
    return f"{question}\nBefore: {' '.join(before)} Again from below, from {total}.", " ".join(again)


def _hop(task: Task, rng: random.Random, most: int, words: bool) -> tuple[str, str]:
    """Some lines of a first hop, from a best so far; after all of them, what it is."""
    every, best = lines(task.scene), before_any(task.hop["want"])
    whole = most >= len(every) and rng.random() < 0.5
    start = 0 if whole else rng.randrange(len(every))
    if before := [name for line in every[:start] for name, _ in candidates(task.hop, *line)]:
        best = Best(rng.randint(1, rng.choice([9, 30])), rng.choice(before))
    question = f"{best.number}, {best.name}" if best.name else best.number
    steps, part = [], every if whole else every[start : start + rng.randint(1, most)]
    for line in part:
        more, best = hop_steps(task, *line, best)
        steps += more
    if part == every:
        steps.append(f"So it is {task.hop['pick']}.")
    return f"{asked(task, rng, words)}\nFirst {_labels(part)}, from {question}.", " ".join(steps)


def _compare(rng: random.Random) -> tuple[str, str]:
    """Which of some numbers is most or least: each held against the best so far."""
    names = rng.sample(rng.choice([PAINTS, [f"row {n}" for n in range(1, 5)]]), rng.randint(2, 4))
    numbers = list(zip(names, rng.sample(range(rng.choice([10, 40])), len(names)), strict=True))
    want = rng.choice(["most", "least"])
    steps, best = comparisons(want, numbers)
    question = f"Which is {want}: {', '.join(f'{name} {value}' for name, value in numbers)}?"
    return question, " ".join([*steps, f"So it is {best.name}."])


def _phrases(rng: random.Random) -> str:
    """What the traces say between their steps: the words must be known before a chain of them is taught."""
    return " ".join(rng.sample([*MUSINGS, *OPENINGS, *CHECKS], rng.randint(1, 3)))


def _items(rng: random.Random) -> str:
    """Items in no order: only what came before says what comes next, so that a text is learnt to be looked up in."""
    kinds = [lambda: rng.choice([*PAINTS, *SHAPES, "row", "bar", "left", "right"]), lambda: str(rng.randint(-9, 99))]
    return " ".join(rng.choice(kinds)() for _ in range(rng.randint(6, 24)))


def _chain(rng: random.Random) -> tuple[str, str]:
    total = rng.choice([0, 0, 180, 360, rng.randint(-30, 99)])
    high = rng.choice([1, 9, 9, 20])
    pick = (lambda: 5 * rng.randint(2, 19)) if total >= 180 else lambda: rng.randint(1, high)
    signs = "-" if total >= 180 else rng.choice(["+", "+-"])
    ops = [(rng.choice(signs), pick()) for _ in range(rng.randint(1, 4 if total >= 180 else 8))]
    question, steps = f"{total}" + "".join(f" {sign} {value}" for sign, value in ops), []
    for op in ops:
        step, total = carried(str(op[1]), op, total)
        steps.append(step)
    return f"{question}\nStep by step.", f"{' '.join(steps)}."


def _letters(rng: random.Random) -> tuple[str, str]:
    """The letters of some options, several at once: one letter an example was too rare to be learnt."""
    near = rng.randint(-20, 120)
    options = PAINTS if rng.random() < 0.2 else [str(n) for n in range(near, near + rng.choice([4, 8, 30]))]
    options = rng.sample(options, 4)
    some = rng.sample(options, rng.randint(2, 4))
    answers = ", ".join(f"{option} ({'ABCD'[options.index(option)]})" for option in some)
    return with_choices(f"Letters of {', '.join(some)}.", options), f"{answers}."


ON_LINES = {"stretch": _stretch, "below": _below, "reread": _reread, "hop": _hop}
IN_TEXTS = {"chain": _chain, "letters": _letters, "compare": _compare}


def example(pictures: Pictures, dose: float = 0.0, shares: dict[str, float] = WHOLE, most: int = SHORT) -> Example:
    """One question and its response, by their shares. most: lines that an act goes over."""
    rng = pictures.rng
    kind = rng.choices(list(shares), list(shares.values()))[0]
    if kind in ("plain", "instructed", "in words"):
        return _whole(kind, pictures, rng, dose)
    if kind in IN_TEXTS:
        return Example(None, *IN_TEXTS[kind](rng))
    if kind == "repeat":
        words = _phrases(rng) if rng.random() < 0.4 else _items(rng)
        return Example(None, f"Repeat: {words}", words)
    if kind == "choose":
        task = task_of_hops(rng.choice(["MiniMMMU", "MiniStar"]), rng.choice([1, 2]), rng)
        question = with_choices(f"Choose {task.value}.", task.choices)
        if rng.random() < 0.5:
            return Example(None, question, final(task))
        return Example(None, f"{question}\n{INSTRUCTION}", boxed(final(task), answer(task)))
    if kind in ON_LINES:
        words = most > SHORT and rng.random() < IN_WORDS
        task, image = pictures.task(rng.choice(TRAINED) if words else None, 2 if kind == "hop" else 0)
        return Example(None if words else image, *ON_LINES[kind](task, rng, most, words))
    task, image = pictures.task()
    if rng.random() < 0.5:
        label, items = rng.choice(lines(task.scene))
        return Example(image, f"Read {label}.", reading(label, items))
    return Example(image, "Describe the picture.", in_words(task))
