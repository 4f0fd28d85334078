"""The step checker: what of a response is right by the scene's program, and in which way it goes about the question."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from studylib.world.scenes import lines
from studylib.world.teachers import Best, before_any, candidates, hop_ops

STATEMENT = re.compile(
    r"(?P<label>row \d|bar \d|tube \d): (?P<items>[^.:=]*)\."
    r"|(?P<x>\d+) ?(?P<cmp>[<>=]) ?(?P<y>\d+)(?:, (?P<holder>[a-z0-9 ]+))?\."
    r"|(?:So it|It) is (?P<pick>[a-z0-9 ]+)\."
)
PART = re.compile(r"(?P<items>.+?)(?: (?P<verb>makes|leaves) (?P<total>-?\d+)(?: |$)|$)")
CORRECTION = re.compile(r" not \S+")
VALUE = re.compile(r"That gives (?P<value>-?\d+)\.")
SIGN = {"makes": "+", "leaves": "-"}


class Step(NamedTuple):
    start: int
    end: int
    right: bool


class _Reader:
    """Follows a response statement by statement: the line read last, the total and best so far, the hop it is in."""

    def __init__(self, program: dict, long: bool):
        self.lines = dict(lines(program["scene"]))
        self.ops = dict(zip(self.lines, program["ops"], strict=True))
        self.start, self.value, self.hop = program["start"], program["value"], program.get("hop")
        self.working = bool(long and self.hop)  # on the first hop, which ends with "So it is ..."
        self.best = before_any(self.hop["want"] if self.working else "most")
        self.total = self.start
        self.candidates: list[tuple[str, int]] = []  # of the line read last, not yet compared

    def _expected(self, label: str) -> list:
        """The operation of each item of a line."""
        return hop_ops(self.hop, label, self.lines[label]) if self.working else self.ops[label]

    def line(self, m: re.Match) -> Iterator[Step]:
        """A step for every item that carries the total on, with what was read before it; one for what is left."""
        own = self.lines.get(m["label"])
        if own is None:
            yield Step(m.start(), m.end(), False)
            return
        if self.working:
            self.candidates, self.total = candidates(self.hop, m["label"], own), 0
        ops, place, start = self._expected(m["label"]), 0, m.start()
        parts = list(PART.finditer(m["items"])) if m["items"] != "none" else []
        for part in parts:
            items = CORRECTION.sub("", part["items"])
            first, place = place, _reach(own, place, items)
            right = " ".join(own[first:place]) == items and not any(ops[first : place - 1])
            if part["verb"]:
                op = ops[place - 1] if place > first else None
                total = self.total
                self.total = int(part["total"])
                right &= op is not None and op[0] == SIGN[part["verb"]]
                right &= op is not None and self.total == total + (op[1] if op[0] == "+" else -op[1])
            else:
                right &= place > first and not ops[place - 1]
            last = part is parts[-1]
            end = m.end() if last else m.start("items") + part.end("total")
            yield Step(start, end, right and (place == len(own) or not last))
            start = end + 1
        if not parts:
            yield Step(m.start(), m.end(), not own)

    def comparison(self, x: int, relation: str, y: int, holder: str) -> bool:
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

    def picked(self, pick: str) -> bool:
        """The first hop is said: the pass that follows from it is what is expected now."""
        self.working, self.total, self.candidates = False, self.start, []
        if not self.hop:
            return pick == self.value
        self.ops = dict(zip(self.lines, self.hop["passes"].get(pick, self.ops.values()), strict=True))
        return pick == self.hop["pick"]


def _reach(own: list[str], place: int, items: str) -> int:
    """The place in a line after as many of its items as have the words of `items`."""
    words = len(items.split())
    while place < len(own) and words > 0:
        words -= len(own[place].split())
        place += 1
    return place


def check(program: dict, response: str) -> list[Step]:
    """Every step of a response, in order, with its place in the text and whether it is right by the scene's program.

    `program` holds `scene`, `ops`, `start`, `value` and `hop`. A step of a pass is what is read up to the next total:
    right if the picture shows it, and if the total carries the last one on by what the question calls for there.
    """
    reader, steps, last = _Reader(program, long="So it is" in response), [], 0
    for m in STATEMENT.finditer(response):
        if VALUE.search(response, last, m.start()):
            reader.concluded()
        last = m.end()
        if m["label"]:
            steps += reader.line(m)
        elif m["cmp"]:
            right = reader.comparison(int(m["x"]), m["cmp"], int(m["y"]), m["holder"] or "")
            steps.append(Step(m.start(), m.end(), right))
        else:
            steps.append(Step(m.start(), m.end(), reader.picked(m["pick"])))
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
    if "So it is" in response or len(labels) > len(set(labels)):
        return "long"
    return "short" if labels else "none"
