"""The mini world: answers are right by an independent reading of the scene; traces are right by the step checker."""

import dataclasses
import json
import random
import re
from collections import Counter

import pytest

from studylib.data.mini import mini_rows
from studylib.params.load import load_params
from studylib.world import checker, teachers
from studylib.world.benchmarks import KINDS
from studylib.world.questions import TEST_DIGESTS, benchmark_rows, digest, task_of
from studylib.world.scenes import PAINTS, SHAPES, draw
from studylib.world.tasks import Task

EVERY = [(name, kind) for name, kinds in KINDS.items() for kind in kinds]


def tasks(benchmark: str, kind: str, count: int, seed: int = 0):
    rng = random.Random(seed)
    make, sizes = KINDS[benchmark][kind]
    return [make(rng, rng.choice(sizes)) for _ in range(count)]


def recomputed(task: Task) -> str:
    """The answer, both hops, from the scene and the question's words alone, not from the task's operations."""
    scene, ask = task.scene, task.question
    cells = {int(cell): tuple(look) for cell, look in scene["cells"].items()}
    named = re.findall(r"\b(red|blue|green|orange|purple)\b", ask)
    forms = [shape for shape in SHAPES if re.search(rf"\b{shape}s?\b", ask)]
    most = max if re.search("most|longest|highest|largest|heaviest", ask) else min
    if task.kind in ("largest", "heaviest"):
        owner = most(cells.values(), key=lambda look: look[2])[0]
        return str(sum(number for own, _, number in cells.values() if own == owner))
    if task.kind == "coins but row" or task.kind.startswith(("shapes but", "digits but")):
        worth = lambda look: look[1] == forms[0] if forms else look[2]  # noqa: E731
        rows = [[look for cell, look in cells.items() if cell // 4 == row] for row in range(4)]
        rows = [row for row in rows if row or forms]
        left_out = most(rows, key=lambda row: sum(map(worth, row)))
        return str(sum(look[2] or 1 for row in rows if row is not left_out for look in row))
    if task.kind in ("sum", "signed"):
        plus, minus = named[0], named[1] if len(named) > 1 else None
        return str(sum(n * ((c == plus) - (c == minus)) for c, _, n in cells.values()))
    numbers = [n for _, _, n in cells.values() if n]
    if task.kind in ("triangle", "line", "point"):
        return str((360 if "point" in ask else 180) - sum(numbers))
    if task.kind == "side":
        return str(int(re.search(r"perimeter is (\d+)", ask)[1]) - sum(numbers))
    if task.kind.startswith("all but"):
        return str(sum(numbers) - most(numbers))
    if task.kind in ("perimeter", "coins"):
        return str(sum(numbers))
    if scene["figure"] == "scales":
        difference = sum(n if cell % 4 < 2 else -n for cell, (_, _, n) in cells.items())
        return str(difference)
    if "bars" in scene:
        height = dict(map(tuple, scene["bars"]))
        if "but" in task.kind:
            return str(sum(height.values()) - most(height.values()))
        return str(height[named[0]] - height[named[1]] if "difference" in task.kind else sum(height.values()))
    if scene["figure"] == "table":
        row = {cells[r * 4][0]: sum(cells[r * 4 + k][2] for k in (1, 2, 3)) for r in range(4) if r * 4 in cells}
        if "row" in task.kind:
            return str(most(row.values()))
        return str(row[named[0]] - row[named[1]] if "difference" in task.kind else sum(row[c] for c in named))
    return str(sum((not named or c in named) and (not forms or s in forms) for c, s, _ in cells.values()))


@pytest.mark.parametrize(("benchmark", "kind"), EVERY)
def test_answers_follow_from_the_scene(benchmark, kind):
    for task in tasks(benchmark, kind, 150):
        assert recomputed(task) == task.value
        if task.choices:
            assert len(set(task.choices)) == len(task.choices) and task.choices["ABCD".index(task.letter)] == task.value


def program_of(task: Task) -> dict:
    return json.loads(json.dumps(dataclasses.asdict(task)))


@pytest.mark.parametrize(("benchmark", "kind"), EVERY)
def test_every_step_of_short_and_careful_traces_is_right_and_their_way_is_recognised(benchmark, kind):
    rng = random.Random(1)
    for task in tasks(benchmark, kind, 60):
        for text, way in ((teachers.short(task)[0], "short"), (teachers.careful(task, rng).text, "long")):
            right, count = checker.check_steps(program_of(task), text)
            assert right == count > 0
            assert checker.first_answer(text) == task.value
            assert checker.strategy(text) == way


@pytest.mark.parametrize(("benchmark", "kind"), EVERY)
def test_a_careful_trace_with_a_slip_ends_right_and_masks_what_is_misread(benchmark, kind):
    rng, slipped = random.Random(1), 0
    for task in tasks(benchmark, kind, 40):
        trace, program = teachers.careful(task, rng, slips=1.0), program_of(task)
        assert trace.text.endswith(f"{{{teachers.answer(task)}}}")
        for start, end in trace.masked:
            wrong = [s for s in checker.check(program, trace.text) if not s.right]
            assert wrong and all(start <= s.start and s.end <= end for s in wrong)
            assert " not " in trace.text[end:] and "No, " in trace.text[end:]
            assert checker.first_answer(trace.text) != task.value
            slipped += 1
        assert trace.masked or " not " not in trace.text
    assert slipped > 0 or kind.startswith(("count", "shapes"))


@pytest.mark.parametrize(("benchmark", "kind"), [(name, kind) for name, kind in EVERY if tasks(name, kind, 1)[0].hop])
def test_what_follows_from_a_wrong_glance_is_right_by_the_checker_and_one_of_the_options(benchmark, kind):
    rng = random.Random(1)
    for task in tasks(benchmark, kind, 40):
        for pick in task.hop["passes"]:
            text, answer = teachers.short(task, pick)
            wrong = [text[s.start : s.end] for s in checker.check(program_of(task), text) if not s.right]
            assert wrong == ([] if pick == task.hop["pick"] else [f"It is {pick}."])
            assert f"The answer is {answer}" in text or f"({answer})" in text
        picks = [teachers.guess(task, rng) for _ in range(300)]
        assert set(picks) == set(task.hop["passes"])


def test_a_glance_is_lured_by_what_is_read_first_and_sees_a_little_of_the_right_one():
    rng, every = random.Random(0), tasks("MiniVista", "row with most", 30)
    task = next(t for t in every if len(t.hop["passes"]) == 4 and next(iter(t.hop["passes"])) != t.hop["pick"])
    names = list(task.hop["passes"])
    shares = {name: count / 8000 for name, count in Counter(teachers.guess(task, rng) for _ in range(8000)).items()}
    expected = {name: 3 / 7 if name == names[0] else 2 / 7 if name == task.hop["pick"] else 1 / 7 for name in names}
    assert shares == pytest.approx(expected, abs=0.03)


def test_the_step_checker_finds_a_misread_item_a_wrong_total_one_not_carried_on_and_an_item_left_out():
    cells = {"0": ["red", "digit", 3], "1": ["blue", "digit", 2], "5": ["red", "digit", 4], "6": ["red", "digit", 1]}
    program = {"scene": {"figure": "grid", "style": 0, "cells": cells}, "start": 0, "value": "8", "hop": None}
    program["ops"] = [[["+", 3], None], [["+", 4], ["+", 1]], [], []]
    good = "row 1: red 3 makes 3 blue 2. row 2: red 4 makes 7 red 1 makes 8. row 3: none. row 4: none."
    assert checker.check_steps(program, good) == (6, 6)
    for before, after, right in (
        ("row 2: red 4", "row 2: blue 4", 5),
        ("makes 7 red 1 makes 8", "makes 8 red 1 makes 9", 5),
        ("makes 7 red 1 makes 8", "makes 8 red 1 makes 8", 4),
        ("red 4 makes 7", "red 4 leaves -1", 4),
        ("blue 2.", "blue 2 makes 5.", 4),
        ("row 3: none", "row 3: red 4", 5),
    ):
        assert before in good
        assert checker.check_steps(program, good.replace(before, after)) == (right, 6), after
    assert checker.check_steps(program, good.replace("red 4 makes 7 red 1 makes 8", "red 4 red 1 makes 4")) == (4, 5)
    assert checker.check_steps(program, good.replace(" blue 2.", ".")) == (4, 5)


def test_the_step_checker_finds_a_wrong_first_hop():
    [task] = tasks("MiniVision", "largest", 1, seed=4)
    good, pick = teachers.careful(task, random.Random(0)).text, task.hop["pick"]
    other = next(colour for colour in PAINTS if colour != pick)
    right, count = checker.check_steps(program_of(task), good)
    assert right == count
    for edited in (
        good.replace(f"So it is {pick}.", f"So it is {other}."),
        good.replace(f", {pick}. So it is", f", {other}. So it is"),
        good.replace(" > 0, ", " > 1, "),
    ):
        assert edited != good and checker.check_steps(program_of(task), edited)[0] < count


def test_rambling_traces_go_wrong_where_careful_ones_do_not():
    rng, share = random.Random(2), {}
    for teacher in (teachers.careful, teachers.rambling):
        boxed = [
            teacher(task, rng).text.endswith(f"{{{task.value}}}") for task in tasks("MiniVision", "sum", 200, seed=3)
        ]
        share[teacher] = sum(boxed) / len(boxed)
    assert share[teachers.careful] == 1 and 0.3 < share[teachers.rambling] < 0.95


def shown(row: dict) -> str:
    task = task_of(row)
    facts = {key: value for key, value in task.scene.items() if key not in ("style", "strokes")}
    return json.dumps([facts, task.kind, task.ops, task.value], sort_keys=True)


def test_no_question_is_in_two_splits():
    sizes = {"test": 60, "validation": 30, "train": 60}
    for benchmark in KINDS:
        test, validation, train = ({shown(r) for r in benchmark_rows(benchmark, sizes, 1, split)} for split in sizes)
        assert not test & train and not test & validation and not train & validation


def test_questions_are_a_pure_function_of_the_seed_and_test_does_not_depend_on_the_size_of_training():
    small, large = ({"test": 12, "validation": 5, "train": size} for size in (3, 30))
    once = digest(list(benchmark_rows("MiniVerse", small, 7, "test")))
    assert once == digest(list(benchmark_rows("MiniVerse", large, 7, "test")))
    assert once != digest(list(benchmark_rows("MiniVerse", small, 8, "test")))


def test_a_picture_is_112_pixels_square_and_drawn_the_same_twice():
    for benchmark, kind in EVERY:
        [task] = tasks(benchmark, kind, 1)
        assert draw(task.scene).size == (112, 112)
        assert draw(task.scene).tobytes() == draw(task.scene).tobytes()


def test_the_test_questions_at_mini_are_those_that_were_frozen():
    rows = mini_rows(load_params("mini"), "test")
    found = {name: digest([row for row in rows if row["benchmark"] == name]) for name in TEST_DIGESTS}
    assert found == TEST_DIGESTS


def test_a_question_told_in_words_says_which_figure_it_is_about():
    rows = [row for row in benchmark_rows("MiniVerse", {"test": 30, "validation": 0, "train": 0}, 5, "test")]
    assert {row["version"] for row in rows} == {"text-rich", "text-lite", "vision-only"}
    assert all(row["telling"].endswith(("?", ".")) and len(row["telling"].split(". ")[-1]) > 15 for row in rows)
