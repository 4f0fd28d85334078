"""Questions of the mini world in the files and columns of the published datasets: what the paper's loaders read."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from studylib.analysis.printed import MIRRORED
from studylib.data.mini import load_traces, mini_rows
from studylib.params.load import Params
from studylib.world.tasks import with_choices

LEVEL_COLUMN = "difficulty"


def write_published(params: Params, out: Path) -> dict[str, Any]:
    """Writes the mini world's questions of these params; gives the overrides of `data` that point to them."""
    test, benchmarks = mini_rows(params, "test"), {}
    for ours, theirs in MIRRORED.items():
        file, split, told = _LAYOUTS[theirs]
        rows = [row for row in test if row["benchmark"] == ours]
        _write(({**told(i, row), LEVEL_COLUMN: f"L{1 + i % 5}"} for i, row in enumerate(rows)), out / theirs / file)
        benchmarks[theirs] = {"name": str(out / theirs), "split": split, "level_column": LEVEL_COLUMN}
    for split in ("train", "validation"):
        _write(map(_query, mini_rows(params, split)), out / "queries" / f"{split}.parquet")
    for manner, told in (("rambling", _s1k), ("careful", _s1k_r1)):
        _write(map(told, load_traces(params, manner)), out / manner / "train.parquet")
    sets = {"queries": ("queries", "train"), "validation": ("queries", "validation")}
    sets |= {manner: (manner, "train") for manner in ("rambling", "careful")}
    hub = {key: {"name": str(out / folder), "split": split} for key, (folder, split) in sets.items()}
    return {"data.benchmarks": benchmarks, "data.hub": hub}


def _write(rows: Iterable[dict[str, Any]], path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)


def _picture(row: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    row["images"][0].save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def _stem(row: dict[str, Any]) -> str:
    return row["question"].removesuffix(with_choices("", row["choices"]))


def _mathvision(number: int, row: dict[str, Any]) -> dict[str, Any]:
    columns = {"id": str(number), "question": f"<image1>\n{_stem(row)}", "options": list(row["choices"])}
    beside = {"answer": row["answer"], "solution": None, "level": 1, "subject": "arithmetic"}
    return {**columns, **beside, "decoded_image": _picture(row)}


def _mathverse(number: int, row: dict[str, Any]) -> dict[str, Any]:
    kind = "multi-choice" if row["choices"] else "free-form"
    columns = {"sample_index": str(number), "problem_index": row["problem"], "problem_version": row["version"].title()}
    told = {"question": row["question"], "question_type": kind, "answer": row["answer"]}
    return {**columns, **told, "metadata": {"subject": "Plane Geometry"}, "image": _picture(row)}


def _mathvista(number: int, row: dict[str, Any]) -> dict[str, Any]:
    """Upstream answers a choice by its text."""
    choices = list(row["choices"])
    answer = choices[ord(row["answer"]) - ord("A")] if choices else row["answer"]
    told = {key: row[key] for key in ("unit", "precision", "question_type", "answer_type")}
    columns = {"pid": str(number), "question": _stem(row), "choices": choices or None, "answer": answer}
    return {**columns, **told, "decoded_image": _picture(row)}


def _mmmu(number: int, row: dict[str, Any]) -> dict[str, Any]:
    pictures = {"image_1": _picture(row), **{f"image_{place}": None for place in range(2, 8)}}
    columns = {"id": f"validation_Mini_{number}", "question": f"<image 1> {_stem(row)}"}
    told = {"options": repr(list(row["choices"])), "answer": row["answer"], "question_type": "multiple-choice"}
    return {**columns, **told, "topic_difficulty": "Easy", "subfield": "Clocks", **pictures}


def _mmstar(number: int, row: dict[str, Any]) -> dict[str, Any]:
    options = ", ".join(f"{'ABCDEFGHIJ'[i]}: {choice}" for i, choice in enumerate(row["choices"]))
    columns = {"index": number, "question": f"{_stem(row)}\nOptions: {options}", "answer": row["answer"]}
    return {**columns, "category": "coarse perception", "l2_category": "count", "image": _picture(row)}


_LAYOUTS = {
    "MathVision": ("data/test-00000-of-00001.parquet", "test", _mathvision),
    "MathVerse": ("testmini.parquet", "testmini", _mathverse),
    "MathVista": ("data/testmini-00000-of-00001.parquet", "testmini", _mathvista),
    "MMMU": ("Clocks/validation-00000-of-00001.parquet", "validation", _mmmu),
    "MMStar": ("mmstar.parquet", "val", _mmstar),
}


def _query(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "question": f"<image>{row['question']}", "answer": row["answer"], "image": _picture(row)}


def _s1k(row: dict[str, Any]) -> dict[str, Any]:
    thought, attempt = _trace(row)
    told = {"thinking_trajectories": [thought], "attempt": attempt}
    return {"question": row["question"], "solution": row["answer"], **told}


def _s1k_r1(row: dict[str, Any]) -> dict[str, Any]:
    thought, attempt = _trace(row)
    told = {"deepseek_thinking_trajectory": thought, "deepseek_attempt": attempt}
    return {"question": row["question"], "solution": row["answer"], **told}


def _trace(row: dict[str, Any]) -> tuple[str, str]:
    thought, _, attempt = row["trace"].partition("</think>")
    return thought.removeprefix("<think>").strip(), attempt.strip()
