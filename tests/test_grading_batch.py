"""Many rows over worker processes: order, streaming, lost workers, bad files."""

import json
import sys
import time

import pytest

from studylib.errors import StudyError
from studylib.grading import batch, grade_file, grade_many

ROW = {"question_type": "free_form", "choices": [], "answer": "7", "answer_type": "integer", "response": r"\boxed{7}"}
FRAGILE = """
import json, os, sys, time
print("ready", flush=True)
for line in sys.stdin:
    task = json.loads(line)
    if task == "die":
        os._exit(1)
    if task == "hang":
        time.sleep(60)
    print(json.dumps(task), flush=True)
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_worker_that_dies_or_hangs_costs_its_task_alone(jobs):
    tasks = [*range(20), "die", *range(20, 40), "hang", "die", *range(40, 60)]
    command = [sys.executable, "-c", FRAGILE]
    answers = list(batch.run(tasks, jobs, command, task_seconds=1.0))
    assert answers == [None if isinstance(task, str) else task for task in tasks]


def test_a_worker_that_cannot_start_is_told():
    with pytest.raises(RuntimeError, match="did not start"):
        list(batch.run([1], 1, [sys.executable, "-c", "pass"]))


def test_rows_are_graded_in_order_by_several_workers():
    rows = [ROW | {"answer": str(i % 10), "response": f"\\boxed{{{i % 7}}}"} for i in range(300)]
    outcomes = [grade.outcome for grade in grade_many(rows, jobs=2)]
    assert outcomes == ["correct" if i % 10 == i % 7 else "wrong" for i in range(300)]


def test_grades_stream_while_rows_still_come():
    taken = 0

    def rows():
        nonlocal taken
        for _ in range(2_000):
            taken += 1
            yield ROW

    grades = grade_many(rows(), jobs=1)
    next(grades)
    assert taken < 200
    grades.close()


def test_a_row_too_hard_is_a_grader_error_and_the_others_stand():
    hard = ROW | {"response": r"\boxed{10000000!}"}
    grades = list(grade_many([ROW, hard, ROW, hard, ROW], jobs=1))
    assert [grade.outcome for grade in grades] == ["correct", "grader error", "correct", "grader error", "correct"]


def test_a_file_prints_one_row_each_and_reads_no_other_field(tmp_path, capsys):
    rows = [ROW, ROW | {"response": "The answer is 8."}, ROW | {"response": ""}]
    extra = {"id": 3, "verdict": True, "model": "x", "finish_reason": "length", "extraction": "7", "level": 1}
    printed = []
    for number, more in enumerate(({}, extra)):
        path = tmp_path / f"{number}.jsonl"
        path.write_text("".join(json.dumps(row | more) + "\n" for row in rows))
        grade_file(path, jobs=2)
        printed.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert printed[0] == printed[1]
    assert [(row["extracted"], row["outcome"]) for row in printed[0]] == [
        ("7", "correct"),
        ("8", "wrong"),
        (None, "unparsed"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "line 1 is not JSON"), ("[]", "not an object"), ('{"answer": 1}', "lacks 'response'"),
     ('{"answer": 1, "response": 2}', "must be text"),
     ('{"answer": 1, "response": "", "choices": "A"}', "must be a list")],
)  # fmt: skip
def test_a_line_that_is_no_row_is_named(text, told, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(StudyError, match=told):
        grade_file(path)
    with pytest.raises(StudyError, match="does not exist"):
        grade_file(tmp_path / "none.jsonl")


def test_short_answers_are_graded_by_the_thousand():
    from studylib.grading import grade

    responses = ["3+4=7. The answer is 7.", "<think> 0+3=3. 3+4=7. </think> \\boxed{7}", "The answer is 9.", "7"]
    start = time.process_time()
    for _ in range(250):
        for response in responses:
            grade(ROW, response)
    assert 1_000 / (time.process_time() - start) > 1_000  # one core; two give the 2,000 rows a second asked for
