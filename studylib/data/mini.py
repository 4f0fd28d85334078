"""Questions and traces of a scale as `datasets` tables, all in the one question schema."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from studylib.params.load import Params

if TYPE_CHECKING:
    from datasets import Dataset, Features


PIECE = 256  # rows


def features() -> Features:
    """The question schema; `level` is a published level and `answers` are all accepted forms, where there are any."""
    from datasets import Features, Image, List, Value

    text = "id benchmark split problem version question answer question_type answer_type unit telling solution scene"
    return Features(
        {name: Value("string") for name in text.split()}
        | {"choices": List(Value("string")), "images": List(Image()), "precision": Value("float64")}
        | {"level": Value("string"), "answers": List(Value("string"))}
    )


def table(rows: Iterable[dict[str, Any]], columns: Features) -> Dataset:
    """Rows as a table, built in pieces: one Arrow array holds no more than 2 GiB of pictures."""
    from datasets import Dataset, concatenate_datasets

    rows, pieces = ({name: row.get(name) for name in columns} for row in rows), []
    while piece := list(islice(rows, PIECE)):
        pieces.append(Dataset.from_list(piece, features=columns))
    return concatenate_datasets(pieces or [Dataset.from_list([], features=columns)])


def load_questions(params: Params, split: str) -> Dataset:
    """All questions of a split (train, validation or test); train holds the training benchmarks only."""
    return table(mini_rows(params, split), features())


def mini_rows(params: Params, split: str) -> list[dict[str, Any]]:
    from studylib.world.questions import benchmark_rows

    rows: list[dict[str, Any]] = []
    for name in params.data.benchmarks:
        trained = name in params.data.training
        sizes = {
            "test": params.data.test or 0,
            "validation": params.data.validation,
            "train": -(-(params.data.train or 0) // len(params.data.training)) if trained else 0,
        }
        rows += benchmark_rows(name, sizes, params.data.seed, split)
    return rows


def load_traces(params: Params, manner: str) -> Dataset:
    """Text-only questions of the training benchmarks with one teacher's traces (paper 2.1: s1 and s1.1-R1)."""
    from datasets import List, Value

    from studylib.world import teachers
    from studylib.world.questions import task_of

    rng = random.Random(f"{manner} {params.data.seed}")
    rows = mini_rows(params, "train")
    chosen = rng.sample(range(len(rows)), min(params.data.text_traces, len(rows)))
    traced = []
    for i in sorted(chosen):
        task = task_of(rows[i])
        trace = teachers.careful(task, rng, params.data.slips) if manner == "careful" else teachers.rambling(task, rng)
        traced.append(
            {**rows[i], "question": rows[i]["telling"], "images": [], "trace": trace.text, "masked": trace.masked}
        )
    columns = {**features(), "trace": Value("string"), "masked": List(List(Value("int64")))}
    return table(traced, type(features())(columns))
