"""Published datasets, from the hub at a pinned commit or from a folder of the same files, as question rows."""

from __future__ import annotations

import base64
import codecs
import hashlib
import io
import json
import os
import random
import re
import warnings
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studylib.data import schemas
from studylib.data.mini import features, table
from studylib.data.raw import from_chat
from studylib.data.schemas import Schema
from studylib.engine.snapshot import snapshot
from studylib.errors import StudyError
from studylib.params.load import Params, nearest
from studylib.params.schema import HubSet
from studylib.paths import ROOT, runs_root
from studylib.store.identity import file_hash

if TYPE_CHECKING:
    from datasets import Dataset

ASPECT = 200  # of the long side to the short one; Qwen2.5-VL's processor raises beyond
FIRST = 100  # rows whose columns are looked at before all are read
OPTIONAL = ("id", "solution", "options", "choices")  # columns that a reader takes where they are there
_KINDS = (".parquet", ".jsonl", ".json")
_EMPTY = {"problem": None, "version": "", "precision": None, "unit": None, "telling": "", "solution": "", "scene": ""}


def load_questions(params: Params, split: str) -> tuple[Dataset, dict[str, Any]]:
    """All questions of a split, and facts on their reading: test from the benchmarks, train and validation from
    Eureka-Distill's queries.

    Without a `data.hub.validation` the validation questions are taken out of the queries. Raises StudyError.
    """
    facts: dict[str, Any] = {}
    if split == "test":
        rows = [row for name, spec in params.data.benchmarks.items() for row in _benchmark(params, name, spec, facts)]
    else:
        rows = _queries(params, split, facts)
    return table(rows, features()), facts


def load_traces(params: Params, manner: str) -> tuple[Dataset, dict[str, Any]]:
    """Text-only questions with their traces: s1 (rambling) or s1.1 (careful), paper 2.1; and facts on their reading.

    Raises StudyError.
    """
    from datasets import Value

    where, facts = f"data.hub.{manner}", {}
    spec = _hub_set(params, manner)
    rows = read_rows(spec, schemas.TRACES[manner], where, manner, "train", params.data.unreadable, facts)
    rows = _some(rows, params.data.text_traces, params.data.seed)
    return table(rows, type(features())({**features(), "trace": Value("string")})), facts


def _hub_set(params: Params, name: str) -> HubSet:
    if name not in params.data.hub:
        raise StudyError(f"params/{params.scale}.yaml names no data.hub.{name}: give its name, revision and split.")
    return params.data.hub[name]


def _benchmark(params: Params, name: str, spec: HubSet | None, facts: dict[str, Any]) -> list[dict[str, Any]]:
    where = f"data.benchmarks.{name}"
    if name not in schemas.BENCHMARKS:
        raise StudyError(f"{where}: no columns are known for it{nearest(name, schemas.BENCHMARKS)}.")
    if spec is None:
        raise StudyError(f"{where} is empty: give the name, revision and split of its dataset.")
    rows = read_rows(spec, schemas.BENCHMARKS[name], where, name, "test", params.data.unreadable, facts)
    if name == "MathVerse":
        _share_choices(rows)
    return _some(rows, params.data.test, params.data.seed)


def _share_choices(rows: list[dict[str, Any]]) -> None:
    """A Vision Only question is graded by the choices that the other versions of its problem write out."""
    known = {row["problem"]: row["choices"] for row in rows if row["choices"]}
    for row in rows:
        if row["question_type"] == "multi_choice":
            row["choices"] = known.get(row["problem"], [])


def _queries(params: Params, split: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
    own = split == "validation" and "validation" in params.data.hub
    key = "validation" if own else "queries"
    spec, allowed = _hub_set(params, key), params.data.unreadable
    rows = read_rows(spec, schemas.QUERIES, f"data.hub.{key}", "Eureka-Distill", split, allowed, facts)
    if own:
        return _some(rows, params.data.validation, params.data.seed)
    if "validation" not in params.data.hub:
        held_out = {row["id"] for row in _some(rows, params.data.validation, params.data.seed)}
        rows = [row for row in rows if (row["id"] in held_out) == (split == "validation")]
        if not rows:
            raise StudyError(
                f"No question is left for the split {split!r}: the other takes all that data.hub.queries has. Lower "
                "data.validation, or name a data.hub.validation."
            )
    return rows if split == "validation" else _some(rows, params.data.train, params.data.seed)


def _some(rows: list, count: int | None, seed: int) -> list:
    if count is None or count >= len(rows):
        return rows
    return [rows[i] for i in sorted(random.Random(seed).sample(range(len(rows)), count))]


def read_rows(
    spec: HubSet, schema: Schema, where: str, benchmark: str, split: str, allowed: float, facts: dict[str, Any]
) -> list[dict[str, Any]]:
    """Question rows (plus "trace" where the schema has one) of one dataset; pictures stay as they are encoded.

    `where` is the key of the params that errors name. Rows that cannot be read are left out, up to the share
    `allowed`; facts["unreadable"] lists them, facts["level_columns"] says which column holds the published levels.
    Raises StudyError for a dataset that is not pinned, a missing column, or more unreadable rows.
    """
    root = _folder(spec, where)
    files, tested = _files(root, spec, where), where.startswith("data.benchmarks.")
    level = _check_columns(spec, schema, where, files, tested)
    if tested:
        facts.setdefault("level_columns", {})[benchmark] = level or None
    rows, unreadable = {}, []
    for file in files:
        for number, raw in enumerate(_raw_rows(file), 1):
            try:
                row = _row(raw, spec, schema, level, [file.parent, root])
                name = str(len(rows) + len(unreadable) if row["id"] is None else row["id"])
                if name in rows:
                    raise StudyError(f"it has the id {name!r}, which another row has too")
                if tested and not row["images"]:
                    raise StudyError("it has no picture")
            except (StudyError, KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
                reason = f"it has no {error}" if isinstance(error, KeyError) else error
                if not isinstance(error, StudyError | KeyError):
                    reason = f"one of its values is of another kind than expected ({error})"
                unreadable.append(f"{file.relative_to(root) if file != root else file.name} row {number}: {reason}")
                continue
            row |= {"id": f"{benchmark.lower()}-{split}-{name}", "benchmark": benchmark, "split": split}
            row["problem"] = f"{benchmark.lower()}-{row['problem']}" if row["problem"] else row["id"]
            rows[name] = row
    total = len(rows) + len(unreadable)
    if unreadable:
        facts.setdefault("unreadable", {})[where] = unreadable
    if not rows or len(unreadable) > round(allowed * total, 6):
        raise StudyError(
            f"{where}: {len(unreadable)} of the {total} rows of {spec.name} cannot be read, and data.unreadable lets "
            f"{100 * allowed:.3g} % be left out; the first is {unreadable[0]}. Mend them, or raise data.unreadable."
            if unreadable
            else f"{where}: {spec.name} has no rows."
        )
    return list(rows.values())


def _row(raw: Any, spec: HubSet, schema: Schema, level: str, folders: list[Path]) -> dict[str, Any]:
    if isinstance(raw, StudyError):
        raise raw
    raw = from_chat(raw)
    raw |= {ours: raw.get(theirs) for ours, theirs in spec.columns.items()}
    row = {**_EMPTY, **schema.read(raw), "level": ""}
    row["images"] = _pictures(raw, schema, folders)
    if (shown := str(raw["question"]).count("<image>")) > len(row["images"]):
        raise StudyError(f"its text shows {shown} pictures and there are {len(row['images'])}")
    published = raw.get(level) if level else None
    if published not in (None, "") and published == published:
        row["level"] = _level(published)
        if not row["level"]:
            raise StudyError(f"{level} is {published!r}, not a level from 1 to 5")
    return row


def local(spec: HubSet) -> Path:
    """Where a dataset is, if its name is a path."""
    return ROOT / Path(os.path.expandvars(spec.name)).expanduser()


def identity(spec: HubSet | None) -> dict[str, Any] | None:
    """What a dataset is to the stages that read it: of a local one its files, wherever they lie."""
    if spec is None or not local(spec).exists():
        return spec and spec.model_dump()
    return spec.model_dump(exclude={"name", "revision"}) | {"content": _content(local(spec))}


def _content(place: Path) -> str:
    """The hash of all files of a dataset with their names in it. It is noted by their times of change, since every
    process of a study asks for it."""
    files = [file for file in place.rglob("*") if file.is_file()] if place.is_dir() else [place]
    files = sorted(file for file in files if not _hidden(file, place))
    times = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    notes = runs_root(".content")
    note = notes / hashlib.sha256(repr(times).encode()).hexdigest()[:32]
    if not note.exists():
        hashes = [(file.relative_to(place).as_posix(), file_hash(file)) for file in files]
        notes.mkdir(parents=True, exist_ok=True)
        part = note.with_suffix(f".{os.getpid()}")
        part.write_text(hashlib.sha256(repr(hashes).encode()).hexdigest())
        part.rename(note)
    return note.read_text()


def _folder(spec: HubSet, where: str) -> Path:
    """The dataset's files: a folder or file by path, else a snapshot of the pinned commit of the hub."""
    return local(spec) if local(spec).exists() else snapshot(spec.name, spec.revision, "dataset", where, "name")


def _files(root: Path, spec: HubSet, where: str) -> list[Path]:
    """The files of the split, by name; the only file of a dataset that has one."""
    if root.is_file():
        return [root]
    folder = root / spec.config if spec.config else root
    by_kind = [sorted(file for file in folder.rglob(f"*{kind}") if not _hidden(file, root)) for kind in _KINDS]
    for there in by_kind:
        named = [file for file in there if re.match(rf"{re.escape(spec.split)}(?![A-Za-z])", file.stem)]
        if named:
            return named
    files = next(filter(None, by_kind), [])
    if len(files) != 1:
        there = ", ".join(str(file.relative_to(root)) for file in files[:12]) or "no parquet, jsonl or json file"
        raise StudyError(f"{where}: {spec.name} has no file of the split {spec.split!r}; there is {there}.")
    return files


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _raw_rows(file: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any] | StudyError]:
    """Rows of a file as they are, those of a parquet file with these columns alone; an error for what is no row."""
    if file.suffix == ".parquet":
        import pyarrow
        from pyarrow.parquet import ParquetFile

        try:
            for batch in ParquetFile(file).iter_batches(batch_size=64, columns=columns):
                yield from batch.to_pylist()
        except (pyarrow.ArrowException, OSError) as error:
            _refuse_pointer(file.read_bytes()[:60], file)
            raise StudyError(f"{file} is no readable parquet file: {str(error).splitlines()[0]}") from error
        return
    data = file.read_bytes().removeprefix(codecs.BOM_UTF8)
    _refuse_pointer(data, file)
    try:
        rows = json.loads(data) if file.suffix == ".json" or data.lstrip()[:1] == b"[" else None
    except (ValueError, RecursionError):
        rows = None  # lines, whatever the file is called
    if isinstance(rows, dict):  # rows by name, or under one key
        lists = [value for value in rows.values() if isinstance(value, list)]
        rows = lists[0] if len(lists) == 1 else rows.values()
    if rows is not None and not isinstance(rows, Collection):
        raise StudyError(f"{file} holds {rows!r} and no rows.")
    for row in filter(bytes.strip, data.split(b"\n")) if rows is None else rows:
        try:
            row = json.loads(row) if isinstance(row, bytes) else row
            yield row if isinstance(row, dict) else StudyError("it is no row of columns")
        except (ValueError, RecursionError) as error:
            yield StudyError(f"it is not JSON in UTF-8 ({error})")


def _refuse_pointer(data: bytes, name: object) -> None:
    if data.startswith(b"version https://git-lfs"):
        raise StudyError(f"{name} is a pointer of Git LFS and not the file: run git lfs pull where it comes from")


def layout(spec: HubSet, schema: Schema, where: str) -> tuple[list[str], str]:
    """The columns of a dataset's first row, and the one with published levels ("" for none). Raises as read_rows."""
    root = _folder(spec, where)
    files = _files(root, spec, where)
    level = _check_columns(spec, schema, where, files, leveled=where.startswith("data.benchmarks."))
    return list(next((raw for file in files for raw in _raw_rows(file) if isinstance(raw, dict)), {})), level


def _check_columns(spec: HubSet, schema: Schema, where: str, files: list[Path], leveled: bool) -> str:
    """The column with the published levels, "" for none. Raises StudyError for a column that is missing."""
    rows = (raw for file in files for raw in _raw_rows(file) if isinstance(raw, dict))
    first = list(islice(rows, FIRST))
    if not first:
        return ""
    columns = list(dict.fromkeys(name for raw in first for name in raw))
    there, problems = set(columns), []
    for raw in first:
        try:
            there |= set(from_chat(raw))
        except StudyError as problem:
            problems.append(problem)
    if len(problems) == len(first):
        raise StudyError(f"{where}: no row of {spec.name} can be read; of the first one, {problems[0]}.")
    for ours, theirs in spec.columns.items():
        if ours not in (known := [*schema.columns, *schema.pictures, *OPTIONAL]):
            raise StudyError(f"{where}.columns names {ours!r}, which we do not read{nearest(ours, known)}.")
        if theirs not in there:
            raise StudyError(f"{where}.columns names {theirs!r}, which is no column{nearest(theirs, sorted(there))}.")
    there |= set(spec.columns)
    missing = [name for name in schema.columns if name not in there]
    if schema.pictures and not there & set(schema.pictures):
        missing.append(" or ".join(schema.pictures))
    if missing:
        ours = missing[0].split(" or ")[0]
        raise StudyError(
            f"{where}: {spec.name} has no column {missing[0]}; it has {', '.join(columns)}. If one of these is it, "
            f"say so in params: {where}.columns: {{{ours}: ...}}."
        )
    if not leveled or spec.level_column == "":
        return ""
    if spec.level_column is None:
        candidates = [name for name in columns if "difficulty" in name.lower()]
        return next((name for name in candidates if _holds_levels(name, files)), "")
    if spec.level_column not in columns:
        raise StudyError(
            f"{where}.level_column is {spec.level_column!r}, which is no column. The columns are {', '.join(columns)}. "
            'Name the one with the published levels in params, or set it to "" to go without.'
        )
    return spec.level_column


def _holds_levels(column: str, files: list[Path]) -> bool:
    """Whether all values of a column read as levels from 1 to 5, and there is one."""
    rows = (raw for file in files for raw in _raw_rows(file, [column]) if isinstance(raw, dict))
    values = {str(raw[column]) for raw in rows if raw.get(column) is not None}
    return bool(values) and all(map(_level, values))


def _level(value: Any) -> str:
    """A published level as "L1" to "L5"; "" for anything else."""
    read = re.fullmatch(r"(?:L|Level[ _-]?)?([1-5])(?:\.0)?", str(value).strip(), flags=re.I)
    return f"L{read[1]}" if read else ""


def _pictures(raw: dict[str, Any], schema: Schema, folders: list[Path]) -> list[dict[str, Any]]:
    """Encoded pictures of a row: all of MMMU's columns, else the first column that is filled."""
    values = [raw[name] for name in schema.pictures if raw.get(name)]
    if schema.pictures[:1] != ("image_1",):
        values = values[0] if values and isinstance(values[0], list) else values[:1]
    return [{"bytes": _encoded(value, folders), "path": None} for value in values]


def _encoded(value: Any, folders: list[Path]) -> bytes:
    """A picture's file: the bytes in the row, or a path from the file of the rows or from the dataset's root."""
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        name = str(value["path"] if isinstance(value, dict) else value).removeprefix("file://")
        written = re.match(r"data:image/[\w.+-]+;base64,", name)
        data = base64.b64decode(name[written.end() :]) if written else _file(name, folders).read_bytes()
    _check_picture(data)
    return data


def _file(name: str, folders: list[Path]) -> Path:
    """The file of this name as seen from one of the folders, if it lies in one of them."""
    for folder in folders:
        path = Path(os.path.normpath(folder / name))
        if any(map(path.is_relative_to, folders)) and path.is_file():
            return path
    raise StudyError(f"the picture {name:.80} is not in the dataset")


def _check_picture(data: bytes) -> None:
    """Raises StudyError for a picture that a later stage could not decode or show."""
    from PIL import Image, UnidentifiedImageError

    _refuse_pointer(data, "its picture")
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data)) as picture:
                short, long = sorted(picture.size)
                picture.load()
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise StudyError(f"its picture has more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
        except UnidentifiedImageError:
            raise StudyError("its picture is in no format that can be read") from None
        except Exception as error:  # each format of Pillow has errors of its own
            raise StudyError(f"its picture cannot be decoded ({error})") from None
    if long > ASPECT * short:
        raise StudyError(f"its picture is {long} pixels long and {short} wide, and models take {ASPECT} to 1 at most")
