"""The data of the question explorer: an index of all questions, and texts and pictures that are loaded as needed."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from book.chunks import write_json
from studylib.figures.answers import spans, typical
from studylib.figures.palette import colour_of, in_order, name_of
from studylib.study.notebook import Study
from studylib.world.scenes import SIZE, draw

COLUMNS = 20  # pictures per line of a sheet


def write_explorer(folder: Path, scale: str) -> int:
    """Writes the chunks of one scale into a folder, from what is committed of it; gives their size in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    study = Study(scale)
    questions = study.table("questions.test")
    levels = study.table("levels").set_index("question_id")["level"]
    questions = questions.assign(level=questions["id"].map(levels), program=questions["scene"].map(json.loads))
    runs = {}
    for seed in study.params.seeds:
        runs |= _answers(Study(scale, seed), folder, questions)
    for benchmark, part in questions.groupby("benchmark", sort=False):
        write_json(folder, f"questions-{benchmark}", part[["id", "question", "answer"]].to_dict("list"))
        _sheet([program["scene"] for program in part["program"]]).save(folder / f"{benchmark}.webp", lossless=True)
    arms = in_order(list(dict.fromkeys(arm for arm, _ in runs)))
    index = {
        "scale": study.stamp,
        "benchmarks": list(dict.fromkeys(questions["benchmark"])),
        "columns": COLUMNS,
        "size": SIZE,
        "arms": [{"id": arm, "name": name_of(arm), "colour": colour_of(arm)} for arm in arms],
        "runs": [{"arm": arm, "seed": seed, **counts} for (arm, seed), counts in runs.items()],
        "questions": {
            "id": questions["id"].tolist(),
            "benchmark": questions["benchmark"].tolist(),
            "level": questions["level"].tolist(),
            "kind": [program["kind"] for program in questions["program"]],
        },
    }
    write_json(folder, "index", index)
    return sum(file.stat().st_size for file in folder.iterdir())


def _answers(study: Study, folder: Path, questions: pd.DataFrame) -> dict[tuple[str, int], dict[str, Any]]:
    """Writes an arm's answers, one chunk per benchmark; gives how many samples of each question are right."""
    runs = {}
    for arm in ("base", "base_instructed", *study.params.arms):
        of_base = arm.startswith("base")
        if (
            not study.planned(arm)
            or not study.has(f"{arm}.grades")
            or (of_base and study.seed != study.params.seeds[0])
        ):
            continue
        samples = dict(list(study.scores(arm).groupby("question_id")))
        for benchmark, part in questions.groupby("benchmark", sort=False):
            rows = [_answer(samples[row.id], row.program) for row in part.itertuples()]
            write_json(folder, f"{benchmark}-{arm}-{study.seed}", rows)
        right = [int(samples[name]["correct"].sum()) for name in questions["id"]]
        runs[arm, study.seed] = {"samples": len(next(iter(samples.values()))), "right": right}
    return runs


def _answer(samples: pd.DataFrame, program: dict[str, Any]) -> list[Any]:
    """Text, outcome, tokens and steps (start, end, right) of the first sample that ends as most do."""
    shown = typical(samples)
    steps = [[start, end, int(right)] for start, end, right in spans(shown["text"], program)]
    return [shown["text"], shown["outcome"], int(shown["tokens"]), steps]


def _sheet(scenes: list[dict[str, Any]]) -> Image.Image:
    """All pictures of a benchmark in one, COLUMNS per line."""
    sheet = Image.new("RGB", (COLUMNS * SIZE, -(-len(scenes) // COLUMNS) * SIZE), "white")
    for number, scene in enumerate(scenes):
        sheet.paste(draw(scene), (number % COLUMNS * SIZE, number // COLUMNS * SIZE))
    return sheet
