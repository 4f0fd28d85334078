"""What stages leave in their folders and find in each other's: question rows, tables, models."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from studylib.params.load import Params
from studylib.store.store import Run

if TYPE_CHECKING:
    from datasets import Dataset
from studylib.engine.models import base_path


def save_rows(rows: "Dataset", path: Path) -> None:
    shutil.rmtree(path / "rows", ignore_errors=True)
    rows.save_to_disk(path / "rows")
    rows.remove_columns("images").to_pandas().to_parquet(path / "questions.parquet", compression="zstd")


def load_rows(run: Run) -> "Dataset":
    """Question rows with their pictures."""
    from datasets import load_from_disk

    return load_from_disk(str(run.path / "rows"))


def plain_rows(run: Run) -> list[dict]:
    """Question rows without pictures; what is absent is None."""
    import pyarrow.parquet

    return pyarrow.parquet.read_table(run.path / "questions.parquet").to_pylist()


def checkpoints(run: Run) -> list[str]:
    """Published checkpoints of a training stage, in order of training."""
    return run.manifest["facts"]["checkpoints"]


def model_of(inputs: dict[str, Run], params: Params) -> Path | str:
    """The model that a stage starts from: the chosen checkpoint of its input, or the base."""
    if "model" not in inputs:
        return base_path(params)
    chosen = json.loads((inputs["select"].path / "selection.json").read_text())["checkpoint"]
    return inputs["model"].path / chosen


def write_table(table: pd.DataFrame, path: Path) -> None:
    part = path.with_suffix(".writing")
    table.to_parquet(part, compression="zstd", index=False)
    part.rename(path)


def read_table(run: Run, name: str) -> pd.DataFrame:
    return pd.read_parquet(run.path / f"{name}.parquet")
