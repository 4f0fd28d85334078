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
from studylib.world.tasks import Task, told, with_choices
from studylib.world.teachers import answer, short

SPLITS = [
    "test",
    "validation",
    "train",
]  # in the order in which they are drawn: test never depends on the others
VERSIONS = {"MiniVerse": ["text-rich", "text-lite", "vision-only"]}

# How often each kind and size (benchmarks.KINDS) is asked. Weighed on fresh scenes so that the base's pass rates fill
# all five levels of every benchmark, then frozen, as the digests of the test questions at mini show.
MIX: dict[str, dict[str, list[float]]] = {
    "MiniVision": {
        "sum": [0.2, 0.2, 0.2, 0.5, 1.4, 2.2, 2.1, 2.1, 1.0, 1.1],
        "signed": [0.2, 0.2, 1.1, 1.7, 1.3, 1.4, 0.2],
    },
    "MiniVerse": {
        "triangle": [0.2],
        "line": [0.2, 1.4, 0.3],
        "point": [0.2, 0.3, 3.7],
        "perimeter": [0.2, 1.4, 3.7, 0.2, 0.3],
    },
    "MiniVista": {
        "bars total": [0.3, 0.3, 0.6],
        "bars difference": [0.3, 0.3, 0.3],
        "highest": [1.7, 1.7],
        "table total": [0.3, 2.5, 2.3],
        "table difference": [1.1],
    },
    "MiniMMMU": {
        "coins": [0.2, 0.2, 0.2, 1.0, 3.3, 3.4, 1.7, 3.8],
        "scales": [0.2, 0.2, 0.5, 0.5, 2.3, 1.3],
        "clock": [0.8, 0.6, 1.7],
        "tubes total": [0.2, 0.2, 0.2],
        "tubes difference": [0.2, 0.2, 0.2],
    },
    "MiniStar": {
        "count colour": [0.2, 0.2, 0.2, 1.0, 0.2, 2.4, 6.2, 0.2, 3.1, 0.2],
        "count shape": [0.2, 0.2, 1.8, 0.2, 0.6, 1.5, 6.2, 0.5, 1.9, 0.2],
        "count both": [0.2, 0.2, 0.3, 0.2, 0.2, 0.2, 0.2, 0.2],
        "find": [0.2, 0.2, 1.3],
        "odd": [0.2, 0.2, 2.9],
    },
}
TEST_DIGESTS = {
    "MiniVision": "095407bc2ed996ce",
    "MiniVerse": "bed8a82303848f1a",
    "MiniVista": "cff04b76d6a990b3",
    "MiniMMMU": "ed50e0aadc03b27e",
    "MiniStar": "a00cef7fadca3ca7",
}


def draw_task(benchmark: str, rng: random.Random) -> Task:
    kinds = KINDS[benchmark]
    options = [(kind, n, w) for kind, ws in MIX[benchmark].items() for n, w in zip(kinds[kind][1], ws, strict=True)]
    kind, n, _ = rng.choices(options, [w for _, _, w in options])[0]
    return kinds[kind][0](rng, n)


def _shown(task: Task) -> str:
    """What makes two questions the same: the scene without its style, and what is asked of it."""
    facts = {key: value for key, value in task.scene.items() if key not in ("style", "strokes")}
    return json.dumps([facts, task.kind, task.leap, task.value], sort_keys=True)


def question_text(task: Task) -> str:
    """The question as its version puts it; "vision-only" leaves even the kind of figure to the picture."""
    if task.version == "vision-only":
        return "Perimeter?" if task.kind == "perimeter" else "Find x."
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
        "answer_type": "text" if task.choices else "integer",
        "precision": None,
        "unit": None,
        "images": [draw(task.scene)],
        "telling": f"{told(task)} {whole}" if trained else "",
        "solution": short(task),
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
    told_all = hashlib.sha256()
    for question in rows:
        told_all.update(question["question"].encode() + question["answer"].encode())
        told_all.update(b"".join(image.tobytes() for image in question["images"]))
    return told_all.hexdigest()[:16]
