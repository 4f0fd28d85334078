"""What a stage takes of the machine that it finds: GPUs, cores, nodes."""

import datetime
import os
import subprocess
import sys
from pathlib import Path

import pytest

from studylib.cluster import process
from studylib.params.load import load_params
from studylib.paths import ROOT
from studylib.stages import grade
from studylib.store import machine
from studylib.store.identity import Stage
from studylib.study import workers
from studylib.study.notebook import Study


@pytest.fixture
def a_gpu(tmp_path, monkeypatch):
    """A driver's tool that is found, and a device that is not hidden."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    return tool.parent


def test_a_scale_without_launch_leaves_the_gpu_alone(a_gpu, monkeypatch):
    assert machine.gpus()
    Study("paper")
    assert machine.gpus() and workers.worker_count() == 2
    Study("mini")
    assert not machine.gpus() and os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_tests_see_no_gpu():
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_grades_take_all_cores_beside_gpus_and_a_workers_share_without(a_gpu, monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 24)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert grade._jobs() == 24
    machine.hide_gpus()
    assert grade._jobs() == 1


def test_one_stage_at_a_time_has_the_gpus_and_others_go_on(a_gpu, monkeypatch, tmp_path):
    """Whoever else makes stages here: another make, another chapter."""
    made = []
    monkeypatch.setattr(workers, "_make", lambda stage, *_: made.append(stage) or True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    train, mix = (Stage(kind, kind, {}, {}, ()) for kind in ("grpo", "mix"))
    holder = (
        "import sys, time, pathlib; from studylib.store.store import lock\n"
        f"with lock(pathlib.Path({str(tmp_path)!r}) / 'studylib-{os.getuid()}-gpus-0.lock'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert other.stdout.readline() == b"held\n"
    assert not workers._take(train, load_params("smoke"), tmp_path)
    assert workers._take(mix, load_params("smoke"), tmp_path)
    other.communicate(b"")
    assert workers._take(train, load_params("smoke"), tmp_path) and made == [mix, train]


@pytest.mark.parametrize(("host", "code"), [("another-node", 0), (None, 130)])
def test_a_process_ends_with_its_launcher_where_that_is_of_its_own_node(host, code):
    """Process numbers of another node mean nothing here."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    launcher = f"{host}:{gone.pid}" if host else machine.here().rpartition(":")[0] + f":{gone.pid}"
    script = f"import time; from studylib.store.machine import *; die_with_launcher({launcher!r}); time.sleep(2)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == code


def test_processes_wait_an_hour_for_each_other(monkeypatch, tmp_path):
    seen = {}

    def state(**asked):
        seen.update(asked)
        raise SystemExit

    monkeypatch.setattr("accelerate.PartialState", state)
    (tmp_path / "job.json").write_text('{"launcher": "another-node:1"}')
    monkeypatch.setattr("sys.argv", ["process", str(tmp_path / "job.json")])
    with pytest.raises(SystemExit):
        process.main()
    assert seen["timeout"] == datetime.timedelta(hours=1)


def test_the_engine_that_make_installs_is_that_of_the_machine(a_gpu, tmp_path):
    """A Python that only writes down what it was asked for."""
    asked, python = tmp_path / "asked.txt", tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    python.chmod(0o755)
    (tmp_path / "venv" / ".ready").touch()

    def made(path: str) -> str:
        asked.unlink(missing_ok=True)
        command = ["make", "-s", "engine", f"VENV={tmp_path / 'venv'}"]
        subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": path}, check=True)
        return asked.read_text()

    assert ".[gpu]" in made(os.environ["PATH"])
    without = [folder for folder in os.environ["PATH"].split(":") if not (Path(folder) / "nvidia-smi").exists()]
    assert ".[cpu-engine]" in made(":".join(without))
