"""What the params leave open of the hub, in one go: commits, columns, level columns (make pin)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import yaml

from studylib.data import hub, schemas
from studylib.engine.models import local_model
from studylib.engine.snapshot import commit_now
from studylib.errors import StudyError
from studylib.params.load import Params
from studylib.params.schema import HubSet, Model


@dataclass(frozen=True)
class Pin:
    """One name of the params: its key, the commit (None for a folder here), its columns, the column of published levels
    ("" for none), and what is in the way."""

    key: str
    source: HubSet | Model
    commit: str | None = None
    columns: tuple[str, ...] = ()
    level: str = ""
    problem: str = ""

    @property
    def name(self) -> str:
        return self.source.name if isinstance(self.source, HubSet) else self.source.path


def pins(params: Params) -> Iterator[Pin]:
    """A pin of each model and dataset of the params. Fetches the datasets, since only their rows tell their columns."""
    yield _pinned(Pin("model", params.model))
    for arm, model in params.released.items():
        yield _pinned(Pin(f"released.{arm}", model))
    kinds = {"queries": schemas.QUERIES, "validation": schemas.QUERIES, **schemas.TRACES}
    for section, sets, known in (
        ("benchmarks", params.data.benchmarks, schemas.BENCHMARKS),
        ("hub", params.data.hub, kinds),
    ):
        for name, spec in sets.items():
            pin = _pinned(Pin(f"data.{section}.{name}", spec))
            yield pin if pin.problem else _with_columns(pin, known[name])


def _pinned(pin: Pin) -> Pin:
    dataset = isinstance(pin.source, HubSet)
    if (hub.local(pin.source) if dataset else local_model(pin.source)).exists():
        return pin
    kind = ("dataset", pin.key, "name") if dataset else ("model", pin.key, "path")
    try:
        commit = commit_now(pin.name, pin.source.revision, *kind)
    except StudyError as error:
        return replace(pin, problem=str(error))
    return replace(pin, source=pin.source.model_copy(update={"revision": commit}), commit=commit)


def _with_columns(pin: Pin, schema: schemas.Schema) -> Pin:
    try:
        columns, level = hub.layout(pin.source, schema, pin.key)
    except StudyError as error:
        return replace(pin, problem=str(error))
    return replace(pin, columns=tuple(columns), level=level)


def table(pins: list[Pin]) -> Iterator[str]:
    """A line a pin; under a dataset its columns, under what cannot be had the reason."""
    for pin in pins:
        levels = f"levels: {pin.level or 'ours'}" if pin.key.startswith("data.benchmarks.") and pin.columns else ""
        where = pin.commit or ("not found" if pin.problem else "a folder here")
        yield f"{pin.key:28} {pin.name:50} {where:42} {levels}".rstrip()
        if pin.columns:
            yield f"{'':28} columns: {', '.join(pin.columns)}"
        if pin.problem:
            yield f"{'':28} {pin.problem}"


def block(pins: list[Pin]) -> str:
    """The sections of the params with these commits and level columns, as YAML to paste."""
    sections: dict[str, Any] = {}
    for pin in pins:
        section = pin.source.model_dump(exclude_defaults=True)
        if pin.level:
            section["level_column"] = pin.level
        *parents, last = pin.key.split(".")
        place = sections
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = section
    return yaml.safe_dump(sections, sort_keys=False, width=1000)
