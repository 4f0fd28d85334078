"""Grading: what a response answers, and whether that is right. Rules first; a judge only where asked for."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from studylib.errors import StudyError
from studylib.grading import batch
from studylib.grading.rules import CORRECT, ERROR, FIELDS, OUTCOMES, TRUNCATED, UNPARSED, WRONG, Grade, grade_by_rules

__all__ = ["CORRECT", "ERROR", "OUTCOMES", "TRUNCATED", "UNPARSED", "WRONG", "Grade", "grade", "grade_file", "grade_many"]


class _NeedsWorker(Exception):
    """The rules came to an expression: only a process that can be killed may read it."""


def _not_here(gold: str, answer: str) -> bool:
    raise _NeedsWorker


def _task(row: Mapping[str, Any], response: str, finish_reason: str) -> dict[str, Any]:
    choices = row.get("choices")
    fields = {name: row.get(name) for name in FIELDS} | {"choices": None if choices is None else [str(c) for c in choices]}
    return {"row": fields, "response": response, "finish_reason": finish_reason}


def _grade_of(answer: list[Any] | None) -> Grade:
    return Grade(None, ERROR, "worker lost") if answer is None else Grade(*answer)


def grade(row: Mapping[str, Any], response: str, finish_reason: str = "stop") -> Grade:
    """Grade one response to the question `row` (see `rules.FIELDS` for what is read of it). Never raises for
    anything a response holds. Letters and plain numbers are decided here; an expression goes to a worker process
    with a second of CPU time, and a worker that is lost on it makes the outcome "grader error"."""
    try:
        return grade_by_rules(row, response, finish_reason, _not_here)
    except _NeedsWorker:
        return _grade_of(batch.ask(_task(row, response, finish_reason)))


def grade_many(rows: Iterable[Mapping[str, Any]], jobs: int = 1) -> Iterator[Grade]:
    """Grades of rows that carry their own `response` (and may carry `finish_reason`), in order, streamed."""
    tasks = (_task(row, row["response"], row.get("finish_reason") or "stop") for row in rows)
    return map(_grade_of, batch.run(tasks, jobs))


def grade_file(path: str | Path, jobs: int = 1) -> None:
    """Print one JSON row `{extracted, outcome, how}` for each row of the JSONL file `path`, in order, as they are
    graded. Raises `StudyError` where a line is no row."""
    for result in grade_many(_rows(Path(path)), jobs):
        print(json.dumps(result._asdict()), flush=True)
    sys.stdout.flush()


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise StudyError(f"{path} does not exist: give a JSONL file of rows to grade.")
    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as problem:
                raise StudyError(f"{path} line {number} is not JSON ({problem}): write one object a line.") from problem
            missing = [name for name in ("response", "answer", "question_type") if name not in row]
            if missing:
                raise StudyError(f"{path} line {number} lacks {missing[0]!r}: every row needs it.")
            yield row
