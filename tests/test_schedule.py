import multiprocessing
import os
import signal
import threading
import time

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


def failing(reason):
    """A stage that ends its worker: by a sentence, by a signal, or otherwise."""
    return Stage("failing", "grpo", {"reason": reason}, {}, ())


def fail(stages, params, root, reference):
    """Stands in for work_through in a worker: the first one stops, another would go on for a minute."""
    try:
        (root / "first").mkdir(parents=True)
    except FileExistsError:
        time.sleep(60)
    if stages[0].params["reason"] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise StudyError("the disk is full.")


class _Fails:
    """A worker process imports this module, and so gets `fail` in place of work_through."""

    def __call__(self, *asked):
        workers.work_through = fail
        return workers._worker(*asked)


@pytest.mark.parametrize(("reason", "sentence"), [("full", "^the disk is full.$"), ("killed", "code -9 .killed;")])
def test_one_failing_process_ends_the_others_with_its_reason(tmp_path, monkeypatch, reason, sentence):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(workers, "_worker", _Fails())
    stages = [failing(reason), diamond()]
    with pytest.raises(StudyError, match=sentence):
        workers.side_by_side(stages, load_params("smoke"), tmp_path, tmp_path, 2)
    assert not [child for child in multiprocessing.active_children() if "pebble" not in child.name]  # the graders stay
