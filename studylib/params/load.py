"""How the files of `params/` are read; errors name the file, the key and the nearest known one."""

import re
import types
import typing
from typing import Any

import yaml
from pydantic import ValidationError

from studylib.errors import StudyError
from studylib.params.schema import Params, Section, nearest
from studylib.paths import params_dir


def _fields_at(loc: tuple) -> list[str]:
    """The keys that the schema knows at the place of an error."""
    kind: Any = Params
    for part in loc:
        section = _section(kind)
        if section:
            kind = section.model_fields[part].annotation
        else:  # a list index, or the name of a benchmark or arm
            kind = typing.get_args(kind)[-1]
    return list(_section(kind).model_fields)


def _section(kind: Any) -> type[Section] | None:
    """The schema that an annotation names, itself or beside None."""
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else [kind]
    return next((o for o in options if isinstance(o, type) and issubclass(o, Section)), None)


def _sentence(error: dict) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown key {place!r}{nearest(str(error['loc'][-1]), _fields_at(error['loc'][:-1]))}"
    if error["type"] == "missing":
        return f"key {place!r} is missing"
    if error["type"] == "value_error":
        return f"{place + ': ' if place else ''}{error['ctx']['error']}"
    if error["type"] == "too_short":
        return f"{place!r} is empty, but it should name at least one"
    message = error["msg"].replace("Input should", "it should")
    message = re.sub(
        r"be a valid dictionary or (?:instance|object) .*", "be a section of keys, as {key: value}", message
    )
    return f"{place!r} is {error['input']!r}, but {message[0].lower() + message[1:]}"


def load_params(scale: str, overrides: dict[str, Any] | None = None) -> Params:
    """The parameters of `params/<scale>.yaml`, with `overrides` by dotted key (`{"rl.steps": 4}`).

    `extends: mini` in a file takes what it does not say from params/mini.yaml, section by section; `only: [rl]` keeps
    these of the arms. Raises StudyError naming the file, the key, and the nearest known key.
    """
    raw, where = _read(scale, []), f"params/{scale}.yaml"
    for key, value in (overrides or {}).items():
        _set(raw, key, value)
    return parse_params(raw, where + (f" with {', '.join(overrides)} overridden" if overrides else ""))


def _read(scale: str, path_here: list[str]) -> dict[str, Any]:
    """A file's keys and values, with those of the file that it extends. path_here: the files that led to it."""
    path = params_dir() / f"{scale}.yaml"
    if not path.exists():
        known = sorted(p.stem for p in params_dir().glob("*.yaml"))
        missing = f"There is no params/{scale}.yaml"
        if path_here:
            missing = f"params/{path_here[-1]}.yaml extends {scale!r}, which is not there"
        raise StudyError(f"{missing}{nearest(scale, known)}.")
    where = f"params/{path.name}"
    if scale in path_here:
        raise StudyError(f"Params files extend each other in a circle: {' -> '.join([*path_here, scale])}.")
    try:
        raw = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise StudyError(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise StudyError(f"{where} is empty or not a mapping of keys to values.")
    if "extends" in raw:
        raw = _merged(_read(str(raw.pop("extends")), [*path_here, scale]), raw)
    return _kept(raw, where) if "only" in raw else raw


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both files' keys: sections are merged, one that is empty stays so, anything else is what the upper file says."""
    both = {key: value for key, value in below.items() if key not in above}
    for key, value in above.items():
        sections = value and isinstance(value, dict) and isinstance(below.get(key), dict)
        both[key] = _merged(below[key], value) if sections else value
    return both


def _kept(raw: dict[str, Any], where: str) -> dict[str, Any]:
    """The params with the arms of `only` alone."""
    only, arms = raw.pop("only"), raw.get("arms") or {}
    if not isinstance(only, list):
        raise StudyError(f"{where}: 'only' is {only!r}, but it should be a list of arms.")
    for arm in only:
        if arm not in arms:
            raise StudyError(f"{where}: 'only' names the arm {arm!r}, which is not there{nearest(str(arm), arms)}.")
    kept = {arm: stages for arm, stages in arms.items() if arm in only}
    return raw | {"arms": kept, "first_seed_only": [arm for arm in raw.get("first_seed_only") or [] if arm in kept]}


def parse_params(raw: dict[str, Any], where: str) -> Params:
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        worst = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")  # a key misspelt is missing too
        sentence = _sentence(worst)
        raise StudyError(f"{where}: {sentence}{'' if sentence.endswith('?') else '.'}") from None


def _set(raw: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for depth, part in enumerate(parents):
        raw = raw.setdefault(part, {})
        if not isinstance(raw, dict):
            raise StudyError(f"Override {key!r}: {'.'.join(parents[: depth + 1])!r} is not a section.")
    raw[last] = value
