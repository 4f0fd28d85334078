"""Splits of the mini world: which sizes are asked how often, no question in two splits, test fixed by a seed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Iterator
from typing import Any

from studylib.world.benchmarks import KINDS
from studylib.world.scenes import draw
from studylib.world.tasks import Task, in_words, with_choices
from studylib.world.teachers import answer, short

SPLITS = [
    "test",
    "validation",
    "train",
]  # in the order in which they are drawn: test never depends on the others
VERSIONS = {"MiniVerse": ["text-rich", "text-lite", "vision-only"]}

# How often each kind and size (benchmarks.KINDS) is asked; 1 where nothing is said.
MIX: dict[str, dict[str, list[float]]] = {}
TEST_DIGESTS = {
    "MiniVision": "917a4ef7eb6f353e",
    "MiniVerse": "178b95c547b3ff42",
    "MiniVista": "e2e1b6a3bbb38698",
    "MiniMMMU": "75a4724c14d9cc87",
    "MiniStar": "99964d8c2860783c",
}


def draw_task(benchmark: str, rng: random.Random) -> Task:
    kinds = KINDS[benchmark]
    options = [(kind, i) for kind, (_, sizes) in kinds.items() for i in range(len(sizes))]
    weights = [MIX.get(benchmark, {}).get(kind, [1] * 99)[i] for kind, i in options]
    kind, i = rng.choices(options, weights)[0]
    make, sizes = kinds[kind]
    return make(rng, sizes[i])


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
    trained = benchmark in ("MiniVision", "MiniVerse", "MiniVista")
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
        "telling": f"{in_words(task)} {whole}" if trained else "",
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
