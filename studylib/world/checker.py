"""The step checker: what of a response is right by the scene's program, and in which way it goes about the question."""

from __future__ import annotations

import re
from typing import NamedTuple

from studylib.world.scenes import lines
from studylib.world.teachers import DIFFERENT, Best, before_any, candidates

STATEMENT = re.compile(
    r"(?P<label>row \d|bar \d|tube \d): (?P<items>[^.:=]*)\."
    r"|(?P<a>-?\d+) ?(?P<op>[+\-]) ?(?P<b>\d+) ?= ?(?P<c>-?\d+)\."
    r"|(?P<x>\d+) ?(?P<cmp>[<>=]) ?(?P<y>\d+)(?:, (?P<holder>[a-z0-9 ]+))?\."
    r"|(?:So it|It) is (?P<pick>[a-z0-9 ]+)\."
)
VALUE = re.compile(r"That gives (?P<value>-?\d+)\.")


class Step(NamedTuple):
    start: int
    end: int
    right: bool


class _Reader:
    """Follows a response statement by statement: the line read last, the total and best so far, the hop it is in."""

    def __init__(self, program: dict, long: bool):
        self.lines = dict(lines(program["scene"]))
        self.ops = {label: [tuple(op) for op in ops] for label, ops in zip(self.lines, program["ops"], strict=True)}
        self.start, self.value, self.hop = program["start"], program["value"], program.get("hop")
        self.working = bool(long and self.hop)  # on the first hop, which ends with "So it is ..."
        self.best = before_any(self.hop["want"] if self.working else "most")
        self.label, self.total = "", self.start
        self.candidates: list[tuple[str, int]] = []  # of the line read last, not yet compared

    def _expected(self) -> list[tuple[str, int]]:
        if not self.working:
            return self.ops.get(self.label, [])
        return [("+", v) for v in self.hop["parts"].get(self.label, [])] if self.hop["sort"] == "total" else []

    def _reading(self, label: str, items: str) -> bool:
        self.label, own = label, self.lines.get(label)
        if self.working and own is not None:
            self.candidates = candidates(self.hop, label, own)
            self.total = 0
        return own is not None and items == (" ".join(own) or "none")

    def _sum(self, a: int, op: str, b: int, c: int) -> bool:
        right = c == (a + b if op == "+" else a - b) and a == self.total and (op, b) in self._expected()
        self.total = c
        return right

    def _comparison(self, x: int, relation: str, y: int, holder: str) -> bool:
        right = relation == (">" if x > y else "<" if x < y else "=") and y == self.best.number
        known = next((candidate for candidate in self.candidates if candidate[1] == x), None)
        if known:
            self.candidates.remove(known)
            if relation == (">" if self.hop["want"] == "most" else "<"):
                self.best = Best(x, known[0])
        return right and known is not None and holder == self.best.name

    def concluded(self) -> None:
        """A pass has ended: the next one begins from the start again."""
        self.total = self.start

    def statement(self, m: re.Match) -> bool:
        if m["label"]:
            return self._reading(m["label"], m["items"])
        if m["op"]:
            return self._sum(int(m["a"]), m["op"], int(m["b"]), int(m["c"]))
        if m["cmp"]:
            return self._comparison(int(m["x"]), m["cmp"], int(m["y"]), m["holder"] or "")
        self.working, self.total, self.candidates = False, self.start, []
        return m["pick"] == (self.hop["pick"] if self.hop else self.value)


def check(program: dict, response: str) -> list[Step]:
    """Every step of a response, in order, with its place in the text and whether it is right by the scene's program.

    `program` holds `scene`, `ops`, `start`, `value` and `hop`. A reading is right if it says what that line of the
    picture shows; a sum or comparison, if it is true, carries the total on, and uses a number that the line read last
    calls for.
    """
    reader, steps, last = _Reader(program, long="So it is" in response), [], 0
    for m in STATEMENT.finditer(response):
        if VALUE.search(response, last, m.start()):
            reader.concluded()
        last = m.end()
        steps.append(Step(m.start(), m.end(), reader.statement(m)))
    return steps


def check_steps(program: dict, response: str) -> tuple[int, int]:
    """How many steps of a response are right by the scene's program, and how many there are."""
    steps = check(program, response)
    return sum(step.right for step in steps), len(steps)


def first_answer(response: str) -> str | None:
    """The value that the first pass ends with: the first "That gives 17."; None where none does."""
    m = VALUE.search(response)
    return m["value"] if m else None


def strategy(response: str) -> str:
    """The way a response goes: "long" (works the first hop out, or goes over the picture again), "short" (once over the
    picture), or "none" of these."""
    labels = [m["label"] for m in STATEMENT.finditer(response) if m["label"]]
    if "So it is" in response or DIFFERENT in response or len(labels) > len(set(labels)):
        return "long"
    return "short" if labels else "none"
