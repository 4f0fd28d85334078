"""Grading: what a response answers, and whether that is right. Rules first; a judge only where asked for."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from studylib.errors import StudyError
from studylib.grading import batch
from studylib.grading.rules import ERROR, FIELDS, OUTCOMES, Grade, grade_by_rules

__all__ = ["OUTCOMES", "Grade", "grade", "grade_file", "grade_many"]


class _NeedsWorker(Exception):
    """The rules came to an expression: only a process that can be killed may read it."""


def _not_here(gold: str, answer: str) -> bool:
    raise _NeedsWorker


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is read of a question: `FIELDS`, with a table's NaN as None."""
    fields = {name: row.get(name) for name in FIELDS}
    fields = {name: None if isinstance(value, float) and value != value else value for name, value in fields.items()}
    lists = {name: fields[name] for name in ("choices", "answers")}
    return fields | {name: [] if given is None else [str(item) for item in given] for name, given in lists.items()}


def _grade_of(answer: list[Any] | None) -> Grade:
    return Grade(None, ERROR, "worker lost") if answer is None else Grade(*answer)


def grade(row: Mapping[str, Any], response: str, finish_reason: str = "stop") -> Grade:
    """Grade one response to the question `row` (`rules.FIELDS` says what is read of it). Never raises for
    anything that a response holds. Letters and plain numbers are decided here; an expression goes to a
    worker process with a second and a half of CPU time, and where that is lost the outcome is "grader error"."""
    fields = _fields(row)
    try:
        return grade_by_rules(fields, response, finish_reason, _not_here)
    except _NeedsWorker:
        return _grade_of(batch.ask({"row": fields, "response": response, "finish_reason": finish_reason}))


def grade_many(rows: Iterable[Mapping[str, Any]], jobs: int = 1) -> Iterator[Grade]:
    """Grades of rows that carry their own `response` (and may carry `finish_reason`), in order, streamed,
    from `jobs` worker processes."""
    tasks = (
        {
            "row": _fields(row),
            "response": row["response"] or "",
            "finish_reason": row.get("finish_reason") or "stop",
        }
        for row in rows
    )
    yield from map(_grade_of, batch.run(tasks, jobs))


def grade_file(path: str | Path, jobs: int = 1) -> None:
    """Print one JSON row `{extracted, outcome, how}` for each row of the JSONL file `path`, in its order,
    as they are graded. Nothing but `rules.FIELDS` and `response` is read. Raises `StudyError` where a line
    is no row."""
    rows = ({name: row.get(name) for name in (*FIELDS, "response")} for row in _rows(Path(path)))
    for result in grade_many(rows, jobs):
        print(json.dumps(result._asdict()), flush=True)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise StudyError(f"{path} does not exist: give a JSONL file of rows to grade.")
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _row(line, f"{path} line {number}")


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as problem:
        raise StudyError(f"{where} is not JSON ({problem}): write one object a line.") from problem
    if not isinstance(row, dict):
        raise StudyError(f"{where} is not an object: write the fields of one row as {{...}}.")
    for name in ("answer", "response"):
        if name not in row:
            raise StudyError(f"{where} lacks {name!r}: every row needs an answer and a response.")
    if not isinstance(row["response"], str | None):
        raise StudyError(f"{where}: 'response' must be text, not {type(row['response']).__name__}.")
    if not isinstance(row.get("choices"), list | None):
        raise StudyError(f"{where}: 'choices' must be a list, not {type(row['choices']).__name__}.")
    return row
