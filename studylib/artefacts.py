"""What stages leave in their folders and find in each other's: question rows, tables, models."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from studylib.params import Model, Params
from studylib.provenance import ROOT
from studylib.runs import Run
from studylib.snapshots import snapshot

if TYPE_CHECKING:
    from datasets import Dataset


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


def base_name(params: Params) -> Path | str:
    """What the base model is called: a folder of the project where there is one, else its name on the hub."""
    return _local(params.model) if _local(params.model).is_dir() else params.model.path


def base_path(params: Params) -> Path:
    """The folder of the base model."""
    return model_folder(params.model, "model")


def model_folder(model: Model, where: str) -> Path:
    """A folder with a model: one of the project, else the pinned commit of the hub, weights in safetensors only.

    Its processor shows no picture larger than `max_pixels`: both engines, the trainers and every checkpoint that is
    saved from here read the size there. where: the key of the params that errors name. Raises StudyError where the
    revision can move, or it cannot be had.
    """
    local = _local(model)
    folder = local if local.is_dir() else snapshot(model.path, model.revision, "model", where, "path")
    return capped(folder, model.max_pixels)


def capped(folder: Path, max_pixels: int) -> Path:
    """The folder itself where its processor keeps to this size, else a folder of links to its files, beside the runs,
    with the size in the processor's own. Its lower bound stays."""
    changed = {}
    for file in (folder / "preprocessor_config.json", folder / "processor_config.json"):
        config = json.loads(file.read_text()) if file.exists() else {}
        section = config.get("image_processor", config)  # both forms are in use, and both names of the bound
        for values, key in ((section, "max_pixels"), (section.get("size") or {}, "longest_edge")):
            if (values.get(key) or 0) > max_pixels:
                values[key] = max_pixels
                changed[file.name] = json.dumps(config, indent=2)
    if not changed:
        return folder
    runs = Path(os.environ.get("STUDY_RUNS") or ROOT / "runs")
    made = runs / ".models" / hashlib.sha256(f"{folder.resolve()} {max_pixels}".encode()).hexdigest()[:16]
    if not made.exists():
        part = made.with_name(f"{made.name}.{os.getpid()}")
        part.mkdir(parents=True)
        for file in folder.iterdir():
            if file.name in changed:
                (part / file.name).write_text(changed[file.name])
            else:
                (part / file.name).symlink_to(file.resolve())
        try:
            part.rename(made)
        except OSError:  # another process was first
            shutil.rmtree(part)
    return made


def _local(model: Model) -> Path:
    return ROOT / Path(os.path.expandvars(model.path)).expanduser()


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
