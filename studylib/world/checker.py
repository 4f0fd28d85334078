"""The step checker: what of a response is right by the scene's program, and in which way it goes about the question."""

from __future__ import annotations

import re
from typing import NamedTuple

from studylib.world.scenes import lines
from studylib.world.teachers import DIFFERENT, FAR, Best

STATEMENT = re.compile(
    r"(?P<name>(?:coin )?\w+): row 1 (?P<counts>\d+(?:, row \d \d+)*) is (?P<sum>\d+)\."
    r"|(?P<label>row \d|bar \d|tube \d|left|right): (?P<items>[^.:=]*)\."
    r"|(?P<a>-?\d+) ?(?P<op>[+\-]) ?(?P<b>\d+) ?= ?(?P<c>-?\d+)\."
    r"|(?P<x>\d+) ?(?P<cmp>[<>=]) ?(?P<y>\d+)(?:, (?P<holder>[a-z0-9 ]+))?\."
    r"|(?:So it|It) is (?P<pick>[a-z0-9 ]+)\."
)
VALUE = re.compile(r"(?:That gives|It is) (?P<value>-?\d+|row \d)\.")


class Step(NamedTuple):
    start: int
    end: int
    right: bool


class _Reader:
    """Follows a response statement by statement: the line read last, the total and best so far, the hop it is in."""

    def __init__(self, program: dict):
        self.lines = dict(lines(program["scene"]))
        self.ops = {label: [tuple(op) for op in ops] for label, ops in zip(self.lines, program["ops"], strict=True)}
        self.start, self.value = program["start"], program["value"]
        self.hop = program.get("hop")
        self.working = False  # on the first hop, which ends with "So it is ..."
        self.label, self.total, self.best = "", self.start, Best(0)  # `best`: so far, of what is compared
        self.candidate = ""  # whose number the last statement came to

    def _hop_ops(self, label: str) -> list[tuple[str, int]]:
        hop = self.hop
        if hop["sort"] == "scan":
            return [(self._sign(), value) for value in hop["parts"].get(label, [])]
        if label in hop["parts"]:
            return [("+", value) for value in hop["parts"][label]]
        place = list(self.lines).index(label)
        rows = list(hop["parts"].values())
        return [("+", value) for value in rows[place]] if place < len(rows) else []

    def _sign(self) -> str:
        return ">" if self.hop["want"] == "most" else "<"

    def _candidate(self, label: str) -> str:
        """Whose numbers a line holds: a side of the scales, the name of a table's row, the colour of a bar."""
        if self.hop["sort"] == "scan":
            return self.lines[label][0].split()[0] if label.startswith("bar") and label in self.lines else ""
        parts = list(self.hop["parts"])
        place = list(self.lines).index(label) if label in self.lines else len(parts)
        return label if label in parts else parts[place] if place < len(parts) else ""

    def begin(self, long: bool) -> None:
        self.working = bool(long and self.hop)
        if self.working:
            self.best = Best(0 if self._sign() == ">" else FAR)

    def _compared(self) -> list[tuple[str, int]]:
        """What may be held against the best so far: in a hop what the last candidate came to, else the line's own."""
        if self.working and self.hop["sort"] != "scan":
            return [(self._sign(), self.total)]
        return [(sign, value) for sign, value in self.expected() if sign in "<>"]

    def expected(self) -> list[tuple[str, int]]:
        if self.label not in self.lines and not (self.hop and self.label in self.hop["parts"]):
            return []
        return self._hop_ops(self.label) if self.working else self.ops.get(self.label, [])

    def reading(self, label: str, items: str) -> bool:
        self.label = label
        if self.working:
            self.candidate = self._candidate(label)
            if self.hop["sort"] == "total":
                self.total = 0
            if label in self.hop["parts"] and label not in self.lines:
                return items == " ".join(map(str, self.hop["parts"][label]))
        if label not in self.lines:
            return False
        return items == (" ".join(self.lines[label]) or "none")

    def concluded(self) -> None:
        """A pass has ended: the next one begins from the start again."""
        self.total, self.best = self.start, Best(0)

    def statement(self, m: re.Match) -> bool:
        if m["name"]:
            rows = [int(count) for count in re.split(r", row \d ", m["counts"])]
            parts = self.hop["parts"] if self.hop and self.hop["sort"] == "count" else {}
            self.total, self.candidate = int(m["sum"]), m["name"]
            return parts.get(m["name"]) == rows and sum(rows) == self.total
        if m["label"]:
            return self.reading(m["label"], m["items"])
        if m["op"]:
            a, b, c = int(m["a"]), int(m["b"]), int(m["c"])
            true = c == (a + b if m["op"] == "+" else a - b)
            right = true and a == self.total and (m["op"], b) in self.expected()
            self.total = c
            return right
        if m["cmp"]:
            x, y = int(m["x"]), int(m["y"])
            true = m["cmp"] == (">" if x > y else "<" if x < y else "=")
            signs = {sign for sign, value in self._compared() if value == x}
            right = true and y == self.best.number and bool(signs)
            if signs:
                better = x < y if "<" in signs else x > y
                self.best = Best(x, self.candidate) if better else Best(y, self.best.name)
            return right and (m["holder"] or "") == self.best.name
        pick = m["pick"]
        self.working, self.total, self.best, self.candidate = False, self.start, Best(0), ""
        return pick == (self.hop["pick"] if self.hop else self.value) or pick == self.value


def check(program: dict, response: str) -> list[Step]:
    """Every step of a response, in order, with its place in the text and whether it is right by the scene's program.

    `program` holds `scene`, `ops`, `start`, `value` and `hop`. A reading is right if it says what that line of the
    picture shows; a sum or comparison, if it is true, carries the total on, and uses a number that the line read last
    calls for.
    """
    reader, steps = _Reader(program), []
    reader.begin(long="So it is" in response)
    last = 0
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
    """The value that the first pass ends with: the first "That gives 17." or "It is row 2."; None where none does."""
    for m in VALUE.finditer(response):
        if response[m.start() :].startswith("That gives") or m["value"].startswith("row"):
            return m["value"]
    return None


def strategy(response: str) -> str:
    """The way a response goes: "long" (works the first hop out, or goes over the picture again), "short" (once over the
    picture), or "none" of these."""
    statements = list(STATEMENT.finditer(response))
    labels = [m["label"] for m in statements if m["label"]]
    if (
        any(m["name"] for m in statements)
        or "So it is" in response
        or DIFFERENT in response
        or len(labels) > len(set(labels))
    ):
        return "long"
    return "short" if labels else "none"
