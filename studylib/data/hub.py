"""Published datasets, from the hub at a pinned commit or from a folder of the same files, as question rows."""

from __future__ import annotations

import io
import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studylib.data import schemas
from studylib.data.mini import features
from studylib.data.schemas import Schema
from studylib.engine.snapshot import snapshot
from studylib.errors import StudyError
from studylib.params.load import Params, nearest
from studylib.params.schema import Data, HubSet
from studylib.paths import ROOT

if TYPE_CHECKING:
    from datasets import Dataset

_EMPTY = {"problem": None, "version": "", "precision": None, "unit": None, "telling": "", "solution": "", "scene": ""}


def load_questions(params: Params, split: str) -> Dataset:
    """All questions of a split: test from the benchmarks, train and validation from Eureka-Distill's queries.

    Without a `data.hub.validation` the validation questions are taken out of the queries. Raises StudyError.
    """
    from datasets import Dataset

    if split == "test":
        rows = [row for name, spec in params.data.benchmarks.items() for row in _benchmark(params, name, spec)]
    else:
        rows = _queries(params, split)
    return Dataset.from_list(rows, features=features())


def load_traces(params: Params, manner: str) -> Dataset:
    """Text-only questions with their traces: s1 (rambling) or s1.1 (careful), paper 2.1. Raises StudyError."""
    from datasets import Dataset, Value

    where = f"data.hub.{manner}"
    rows = read_rows(_asked(params, manner), schemas.TRACES[manner], where, manner, "train")
    rows = _some(rows, params.data.text_traces, params.data.seed)
    return Dataset.from_list(rows, features=type(features())({**features(), "trace": Value("string")}))


def _asked(params: Params, name: str) -> HubSet:
    if name not in params.data.hub:
        raise StudyError(f"params/{params.scale}.yaml names no data.hub.{name}: give its name, revision and split.")
    return params.data.hub[name]


def _benchmark(params: Params, name: str, spec: HubSet | None) -> list[dict[str, Any]]:
    where = f"data.benchmarks.{name}"
    if name not in schemas.BENCHMARKS:
        raise StudyError(f"{where}: no columns are known for it{nearest(name, schemas.BENCHMARKS)}.")
    if spec is None:
        raise StudyError(f"{where} is empty: give the name, revision and split of its dataset.")
    rows = read_rows(spec, schemas.BENCHMARKS[name], where, name, "test")
    if name == "MathVerse":
        _share_choices(rows)
    return _some(rows, params.data.test, params.data.seed)


def _share_choices(rows: list[dict[str, Any]]) -> None:
    """A Vision Only question is graded by the choices that the other versions of its problem write out."""
    known = {row["problem"]: row["choices"] for row in rows if row["choices"]}
    for row in rows:
        if row["question_type"] == "multi_choice":
            row["choices"] = known.get(row["problem"], [])


def _queries(params: Params, split: str) -> list[dict[str, Any]]:
    own = split == "validation" and "validation" in params.data.hub
    key = "validation" if own else "queries"
    rows = read_rows(_asked(params, key), schemas.QUERIES, f"data.hub.{key}", "Eureka-Distill", split)
    if own:
        return _some(rows, params.data.validation, params.data.seed)
    if "validation" not in params.data.hub:
        held_out = {row["id"] for row in _some(rows, params.data.validation, params.data.seed)}
        rows = [row for row in rows if (row["id"] in held_out) == (split == "validation")]
    return rows if split == "validation" else _some(rows, params.data.train, params.data.seed)


def _some(rows: list, count: int | None, seed: int) -> list:
    if count is None or count >= len(rows):
        return rows
    return [rows[i] for i in sorted(random.Random(seed).sample(range(len(rows)), count))]


def read_rows(spec: HubSet, schema: Schema, where: str, benchmark: str, split: str) -> list[dict[str, Any]]:
    """Question rows (plus "trace" where the schema has one) of one dataset; pictures stay as they are encoded.

    `where` is the key of the params that errors name. Raises StudyError for a dataset that is not pinned, a
    missing column, a published level that is not named, or a row that cannot be read.
    """
    root = _folder(spec, where)
    rows, seen = [], set()
    for file in _files(root, spec, where):
        for number, raw in enumerate(_raw_rows(file), 1):
            place = f"{file.relative_to(root) if file != root else file.name} row {number} of {spec.name}"
            if not rows:
                _check_columns(spec, schema, where, list(raw), leveled=where.startswith("data.benchmarks."))
            raw = {**raw, **{ours: raw.get(theirs) for ours, theirs in spec.columns.items()}}
            try:
                row = {**_EMPTY, "benchmark": benchmark, "split": split, **schema.read(raw)}
                row |= {"images": _pictures(raw, schema, file.parent), "level": _level(raw, spec)}
            except (StudyError, KeyError, TypeError, AttributeError, IndexError) as error:
                raise StudyError(f"{where}: {place} cannot be read: {error or type(error).__name__}.") from error
            name = len(rows) if row["id"] is None else row["id"]
            row["id"] = f"{benchmark.lower()}-{split}-{name}"
            row["problem"] = f"{benchmark.lower()}-{row['problem']}" if row["problem"] else row["id"]
            if row["id"] in seen:
                raise StudyError(f"{where}: {place} has the id {name!r}, which another row has too.")
            seen.add(row["id"])
            rows.append(row)
    if not rows:
        raise StudyError(f"{where}: {spec.name} has no rows.")
    return rows


def _local(spec: HubSet) -> Path:
    return ROOT / Path(os.path.expandvars(spec.name)).expanduser()


def local_files(data: Data) -> list[tuple[str, int, int]]:
    """Name, size and time of change of every file of the local datasets: what a commit is to those of the hub."""
    found = []
    for spec in [*data.benchmarks.values(), *data.hub.values()]:
        if spec is not None and _local(spec).exists():
            place = _local(spec)
            files = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
            found += [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return found


def _folder(spec: HubSet, where: str) -> Path:
    """The dataset's files: a folder or file by path, else a snapshot of the pinned commit of the hub."""
    local = _local(spec)
    return local if local.exists() else snapshot(spec.name, spec.revision, "dataset", where, "name")


def _files(root: Path, spec: HubSet, where: str) -> list[Path]:
    """The files of the split, by name; the only file of a dataset that has one."""
    if root.is_file():
        return [root]
    folder = root / spec.config if spec.config else root
    found = sorted(folder.rglob("*.parquet")) or sorted(folder.rglob("*.jsonl"))
    named = [file for file in found if re.match(rf"{re.escape(spec.split)}(?![A-Za-z])", file.stem)]
    if not named and len(found) != 1:
        there = ", ".join(str(file.relative_to(root)) for file in found[:12]) or "no parquet or jsonl file"
        raise StudyError(f"{where}: {spec.name} has no file of the split {spec.split!r}; there is {there}.")
    return named or found


def _raw_rows(file: Path) -> Iterator[dict[str, Any]]:
    if file.suffix == ".parquet":
        import pyarrow
        from pyarrow.parquet import ParquetFile

        try:
            for batch in ParquetFile(file).iter_batches(batch_size=64):
                yield from batch.to_pylist()
        except pyarrow.ArrowException as error:
            raise StudyError(f"{file} is no readable parquet file: {str(error).splitlines()[0]}") from error
        return
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise StudyError(f"{file} line {number} is not JSON: {error}.") from None
            if not isinstance(row, dict):
                raise StudyError(f"{file} line {number} is no row of columns.")
            yield row


def _check_columns(spec: HubSet, schema: Schema, where: str, found: list[str], leveled: bool) -> None:
    """Raises StudyError for a column that is missing, or for a published level that the params do not name."""
    there = set(found) | {ours for ours, theirs in spec.columns.items() if theirs in found}
    missing = [name for name in schema.columns if name not in there]
    if schema.pictures and not there & set(schema.pictures):
        missing.append(" or ".join(schema.pictures))
    if missing:
        ours = missing[0].split(" or ")[0]
        raise StudyError(
            f"{where}: {spec.name} has no column {missing[0]}; it has {', '.join(found)}. If one of these is it, "
            f"say so in params: {where}.columns: {{{ours}: ...}}."
        )
    if not leveled or spec.level_column == "" or spec.level_column in found:
        return
    known = {*schema.columns, *schema.pictures, *schema.beside, *spec.columns.values()}
    candidates = " or ".join(name for name in found if name not in known) or "none of them"
    state = f"is {spec.level_column!r}, which is no column" if spec.level_column else "is not set"
    raise StudyError(
        f"{where}.level_column {state}. The columns are {', '.join(found)}; the published level may be {candidates} "
        '(what the benchmark itself calls level or difficulty is another thing). Name it in params, or set it to "" to '
        "go without."
    )


def _level(raw: dict[str, Any], spec: HubSet) -> str:
    """A published level as "L1" to "L5"; "" where there is none."""
    value = raw[spec.level_column] if spec.level_column else None
    if value is None:
        return ""
    said = re.fullmatch(r"(?:L|Level[ _-]?)?([1-5])(?:\.0)?", str(value).strip(), flags=re.I)
    if said is None:
        raise StudyError(f"{spec.level_column} is {value!r}, not a level from 1 to 5")
    return f"L{said[1]}"


def _pictures(raw: dict[str, Any], schema: Schema, folder: Path) -> list[dict[str, Any]]:
    """Encoded pictures of a row: all of MMMU's columns, else the first column that is filled."""
    values = [raw[name] for name in schema.pictures if raw.get(name) is not None]
    if schema.pictures[:1] != ("image_1",):
        values = values[0] if values and isinstance(values[0], list) else values[:1]
    return [{"bytes": _encoded(value, folder), "path": None} for value in values]


def _encoded(value: Any, folder: Path) -> bytes:
    from PIL import Image

    data = value.get("bytes") if isinstance(value, dict) else None
    if data is None:
        name = value["path"] if isinstance(value, dict) else value
        path = Path(os.path.normpath(folder / name))
        if not path.is_relative_to(folder) or not path.is_file():
            raise StudyError(f"the picture {name} is not in {folder}")
        data = path.read_bytes()
    try:
        Image.open(io.BytesIO(data))
    except OSError:
        raise StudyError("its picture is in no format that can be read") from None
    return data
