import threading

import pytest

from studylib.errors import StudyError
from studylib.params.load import load_params
from studylib.store import store
from studylib.store.identity import Stage
from studylib.study import workers


def diamond():
    """Two short stages and a long one from one root, all of which the last needs."""
    root = Stage("root", "write", {}, {}, ())
    arms = {name: Stage(name, kind, {}, {"root": root}, ()) for name, kind in
            [("short", "write"), ("long", "grpo"), ("plain", "write")]}  # fmt: skip
    return Stage("last", "write", {}, arms, ())


@pytest.fixture
def made(monkeypatch):
    order, lock = [], threading.Lock()

    def write(work, params):
        with lock:
            order.append(work.stage.name)
        (work.path / "inputs.txt").write_text(" ".join(sorted(run.path.name for run in work.inputs.values())))

    monkeypatch.setattr(workers, "KINDS", {"write": write, "grpo": write})
    return order


def test_a_worker_makes_all_that_is_needed_the_longest_way_first(tmp_path, made):
    workers.work_through([diamond()], load_params("smoke"), tmp_path, tmp_path / "reference")
    assert made[:2] == ["root", "long"] and sorted(made) == ["last", "long", "plain", "root", "short"]
    assert workers.needed([diamond()], tmp_path) == []
    workers.work_through([diamond()], load_params("smoke"), tmp_path, tmp_path / "reference")
    assert len(made) == 5


def test_the_reference_says_how_long_a_stage_takes(tmp_path):
    stage = diamond()
    assert workers.cost(stage, tmp_path) < workers.cost(stage.inputs["long"], tmp_path)
    (tmp_path / "stages" / "last").mkdir(parents=True)
    (tmp_path / "stages" / "last" / store.MANIFEST).write_text('{"seconds": 4000}')
    assert workers.cost(stage, tmp_path) == 4000


def test_one_failing_process_ends_the_others_with_its_reason(tmp_path):
    command = ["bash", "-c", "if mkdir " + str(tmp_path / "first") + "; then echo 'Error: the disk is full.' >&2; "
               "exit 2; else sleep 60; fi"]  # fmt: skip
    with pytest.raises(StudyError, match="^the disk is full.$"):
        workers.side_by_side([diamond()], command, 2, tmp_path, tmp_path)


def test_killed_process_is_reported(tmp_path):
    with pytest.raises(StudyError, match="a stage stopped"):
        workers.side_by_side([diamond()], ["bash", "-c", "kill -9 $$"], 1, tmp_path, tmp_path)


@pytest.mark.parametrize(("flags", "jobs"), [("", None), ("w -j4 --jobserver-auth=3,4", 4), ("-j 8", 8)])
def test_make_says_how_many_run_side_by_side(monkeypatch, flags, jobs):
    monkeypatch.setenv("MAKEFLAGS", flags)
    assert workers.make_jobs() == jobs
