"""Splits of the mini world: which kinds are asked how often, no question in two splits, test fixed by a seed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Iterator
from typing import Any

from studylib.world.benchmarks import KINDS, TRAINED
from studylib.world.scenes import draw
from studylib.world.tasks import Task, in_words, with_choices
from studylib.world.teachers import answer, short

SPLITS = [
    "test",
    "validation",
    "train",
]  # in the order in which they are drawn: test never depends on the others
VERSIONS = {"MiniVerse": ["text-rich", "text-lite", "vision-only"]}

# Share of questions of two hops: with it the base's levels are most even on all benchmarks (LOG.md, 2026-11-30).
TWO_HOPS = 0.75
TEST_DIGESTS = {
    "MiniVision": "f3baf65518d49645",
    "MiniVerse": "0d1df474e25b37e5",
    "MiniVista": "7c79bfa471ecbabc",
    "MiniMMMU": "233e37507f3eee1a",
    "MiniStar": "1cf2fafca4ed2b44",
}


def draw_task(benchmark: str, rng: random.Random) -> Task:
    """A question of one hop or two by their shares, of any kind and size."""
    return task_of_hops(benchmark, 2 if rng.random() < TWO_HOPS else 1, rng)


def task_of_hops(benchmark: str, hops: int, rng: random.Random) -> Task:
    while True:
        make, sizes = rng.choice(list(KINDS[benchmark].values()))
        task = make(rng, rng.choice(sizes))
        if (task.hop is not None) == (hops == 2):
            return task


def _shown(task: Task) -> str:
    """What makes two questions the same: the scene without its style, and what is asked of it."""
    facts = {key: value for key, value in task.scene.items() if key not in ("style", "strokes")}
    return json.dumps([facts, task.kind, task.ops, task.value], sort_keys=True)


def question_text(task: Task) -> str:
    """The question as its version puts it; "vision-only" leaves even the kind of figure to the picture."""
    if task.version == "vision-only":
        if task.kind == "side":
            return f"Perimeter {task.start}. Find x."
        return {"perimeter": "Perimeter?"}.get(task.kind, f"{task.kind.capitalize()}?" if task.hop else "Find x.")
    given = task.given if task.version == "text-rich" else ""
    return with_choices(f"{given} {task.question}".strip(), task.choices)


def row(benchmark: str, split: str, number: int, problem: str, task: Task) -> dict[str, Any]:
    """A question row; `scene` holds the whole task, from which teachers and step checker start."""
    question = question_text(task)
    whole = question_text(dataclasses.replace(task, version="")) if task.version == "vision-only" else question
    return {
        "id": f"{benchmark.lower()}-{split}-{number:04d}",
        "benchmark": benchmark,
        "split": split,
        "problem": problem,
        "version": task.version,
        "question": question,
        "choices": task.choices,
        "answer": answer(task),
        "question_type": "multi_choice" if task.choices else "free_form",
        "answer_type": "letter" if task.choices else "integer",
        "precision": None,
        "unit": None,
        "images": [draw(task.scene)],
        "telling": f"{in_words(task)} {whole}" if benchmark in TRAINED else "",
        "solution": short(task)[0],
        "scene": json.dumps(dataclasses.asdict(task)),
        "level": "",
    }


def task_of(question: dict[str, Any]) -> Task:
    """The task behind a question row."""
    return Task(**json.loads(question["scene"]))


def benchmark_rows(benchmark: str, sizes: dict[str, int], seed: int, wanted: str) -> Iterator[dict[str, Any]]:
    """The rows of one split of a benchmark; `sizes` counts the rows of each. Versions of a problem stay together."""
    seen: set[str] = set()
    versions = VERSIONS.get(benchmark, [""])
    for split in SPLITS:
        rng = random.Random(f"{benchmark} {split} {seed}")
        for number in range(sizes[split]):
            if number % len(versions) == 0:
                task = draw_task(benchmark, rng)
                while _shown(task) in seen:
                    task = draw_task(benchmark, rng)
                seen.add(_shown(task))
                problem = f"{benchmark.lower()}-{split}-p{number // len(versions):04d}"
            if split == wanted:
                version = versions[number % len(versions)]
                yield row(benchmark, split, number, problem, dataclasses.replace(task, version=version))
        if split == wanted:
            return


def digest(rows: list[dict[str, Any]]) -> str:
    """A hash, 16 digits long, of what the questions show and ask; pictures count by their pixels."""
    content = hashlib.sha256()
    for question in rows:
        content.update(question["question"].encode() + question["answer"].encode())
        content.update(b"".join(image.tobytes() for image in question["images"]))
    return content.hexdigest()[:16]
