"""Training in several processes: two give what one gives, a killed one is told, what it did is not lost."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch
from training import same, weights

from studylib.cluster import launch, process
from studylib.cluster.process import arguments
from studylib.data.mini import load_questions
from studylib.errors import StudyError
from studylib.params.load import load_params
from studylib.params.schema import METHODS
from studylib.stages import train
from studylib.stages.kinds import KINDS
from studylib.store.files import save_rows
from studylib.store.identity import Stage
from studylib.store.store import MANIFEST, Run, Work
from studylib.train import loop

TESTS = Path(__file__).parent
HARDWARE = {"nodes": 1, "gpus": 2, "memory_gib": 80, "tflops": 1, "utilisation": 0.5, "generation": 0.5, "disk_tib": 1}
LAUNCH = {"sharding": "fsdp2", "gradient_checkpointing": True, "rollouts": "decoded", "engine_memory": 0.3,
          "checkpoint_minutes": 0.01}  # fmt: skip
SIZES = {
    "sft": {"batch_size": 4, "micro_batch": 1, "epochs": 2, "lr": 3e-3},
    "rl": {"prompts_per_step": 4, "mini_batches": 2, "micro_batch": 4, "rollouts": 4, "steps": 2, "checkpoint_every": 1,
           "max_new_tokens": 96, "lr": 1e-3},
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Easy questions with traces, as a published run: the mini base answers some of them right."""
    path = tmp_path_factory.mktemp("data")
    params = load_params("smoke")
    rows = load_questions(params, "train").select(range(8))
    save_rows(
        rows.add_column("trace", [f"<think> {row['solution']} </think> \\boxed{{{row['answer']}}}" for row in rows]),
        path,
    )
    (path / MANIFEST).write_text(json.dumps({"files": {}}))
    return Run(path, {})


def stage_of(data, folder, kind, said=None, **changes):
    """A training stage at work, as the schedule makes it, and its params."""
    sizes = {f"{section}.{key}": value for section, told in SIZES.items() for key, value in told.items()}
    params = load_params("smoke", {"hardware": {**HARDWARE}, "launch": {**LAUNCH}, **sizes, **changes})
    sections = {name: getattr(params, name).model_dump() for name in METHODS[kind]}
    folder.mkdir(exist_ok=True)
    say = print if said is None else said.append
    work = Work(Stage(kind, kind, sections, {}, (), 1), folder / "work", {"data": data}, say)
    work.path.mkdir(exist_ok=True)
    return work, params


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sft", "grpo", "interleaved"])
def test_two_processes_train_as_one_does(data, tmp_path, kind):
    one, params = stage_of(data, tmp_path / "one", kind)
    getattr(train, kind)(one, params)
    said = []
    two, params = stage_of(data, tmp_path / "two", kind, said)
    launch.launch(two, params)
    assert two.facts["distributed"] == "MULTI_CPU" and two.facts["processes"] == 2 and one.facts["processes"] == 1
    assert two.facts["checkpoints"] == one.facts["checkpoints"]
    logs = [pd.read_json(work.path / "log.jsonl", lines=True) for work in (one, two)]
    last = logs[1]["step"].iloc[-1]
    assert last >= 2 and any(f" step {last}/{last}:" in line for line in said)
    for column in ("loss", "grad_norm", "tokens"):
        pd.testing.assert_series_equal(logs[0][column], logs[1][column], rtol=1e-3, atol=1e-5)
    assert logs[0]["grad_norm"].iloc[0] > 1e-3  # there was something to learn
    last = one.facts["checkpoints"][-1]
    assert same(weights(one.path / last), weights(two.path / last), tolerance=1e-4)
    assert not (two.path / "resume").exists()


@pytest.mark.slow
def test_a_killed_process_fails_the_stage_and_a_restart_resumes(data, tmp_path):
    said: list[str] = []
    sizes = {"sft.epochs": 40, "sft.batch_size": 4}
    work, params = stage_of(data, tmp_path / "run", "sft", said, **sizes)

    def kill() -> None:
        while not list(work.path.glob("resume/checkpoint-*/trainer_state.json")):
            time.sleep(0.1)
        children = psutil.Process().children(recursive=True)
        trained = [
            p
            for p in children
            if "studylib.cluster.process" in p.cmdline() and "accelerate.commands.launch" not in p.cmdline()
        ]
        trained[-1].send_signal(signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    with pytest.raises(StudyError, match="was ended by SIGKILL.*start again"):
        launch.launch(work, params)
    again, params = stage_of(data, tmp_path / "run", "sft", said, **sizes)
    launch.launch(again, params)
    assert again.facts["checkpoints"][-1] == "epoch-40"
    steps = [json.loads(line)["step"] for line in (again.path / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)) and steps[-1] == 80


def test_one_gpu_is_trained_on_without_a_second_copy_of_the_gradients(data, tmp_path):
    """DistributedDataParallel holds them in buckets of its own."""
    work, params = stage_of(data, tmp_path, "sft", **{"hardware.gpus": 1, "launch.sharding": "none"})
    assert launch.configuration(params, work.stage)["distributed_type"] == "NO"
    work, params = stage_of(data, tmp_path, "sft", **{"launch.sharding": "none"})
    assert launch.configuration(params, work.stage)["distributed_type"] == "MULTI_GPU"


def test_several_nodes_get_a_launcher_each_from_slurm_and_meet_on_the_first(data, tmp_path, monkeypatch):
    work, params = stage_of(data, tmp_path, "sft", **{"hardware.nodes": 2})
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(StudyError, match="hardware.nodes is 2, and only Slurm starts several"):
        launch.command(work, params)
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho first\necho second\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "first,second")
    command = launch.command(work, params)
    assert command[:3] == ["srun", "--nodes=2", "--ntasks-per-node=1"]
    assert "accelerate.commands.launch --machine_rank $SLURM_NODEID" in command[command.index("-c") + 1]
    assert command[command.index("--main_process_ip") + 1] == "first"
    assert launch.configuration(params, work.stage)["num_processes"] == 4


def test_a_process_shards_the_reference_and_publishes_in_the_bases_numbers(data, tmp_path, monkeypatch):
    """What is set beside the trainer before it trains; tests/sharded.py and tests/test_sft.py have what it does."""
    from trl.trainer import grpo_trainer

    for module, name in ((loop, "SAVED"), (loop, "CHECKPOINT_SECONDS"), (loop, "run"), (grpo_trainer, "prepare_fsdp")):
        monkeypatch.setattr(module, name, getattr(module, name))
    by_trl, by_loop = grpo_trainer.prepare_fsdp, loop.run
    monkeypatch.setitem(KINDS, "sft", lambda work, params: work.facts.update(device="cpu"))
    work, params = stage_of(data, tmp_path, "sft", **{"model.dtype": "bfloat16"})
    launch.command(work, params)
    process.train(json.loads(work.path.with_suffix(".job.json").read_text()))
    assert loop.SAVED == torch.bfloat16 and loop.CHECKPOINT_SECONDS == pytest.approx(0.6)
    assert grpo_trainer.prepare_fsdp is not by_trl and loop.run is not by_loop
    assert json.loads(work.path.with_suffix(f".{launch.FACTS}").read_text()) == {"device": "cpu"}


@pytest.mark.slow
def test_the_main_process_clears_away_nothing_that_another_still_reads(tmp_path):
    """tests/ended_together.py: the other process is the slower one, as it was once in forty trainings."""
    (tmp_path / "resume").mkdir()
    done = torchrun("ended_together.py", str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert not (tmp_path / "resume").exists()


def test_the_reason_of_a_failed_training_is_the_first_error_and_not_the_ruler_below_it(tmp_path):
    said = "[rank1]: Traceback\n[rank1]: FileNotFoundError: no resume\n[rank0]: RuntimeError: peer gone\n=====\n"
    told = launch.reason(said, "rl.s1", tmp_path / "log")
    assert told.startswith("rl.s1: training in several processes stopped: FileNotFoundError: no resume; all they said")
    assert "stopped: no word;" in launch.reason("", "rl.s1", tmp_path / "log")


def torchrun(script: str, *words: str, processes: int = 2) -> subprocess.CompletedProcess:
    """A script of these tests in several processes."""
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--rdzv-backend=c10d"]
    command += ["--rdzv-endpoint=localhost:0", str(TESTS / script), *words]
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("base", "head", "processes"),
    [
        ("tiny_base", "light", 2),
        ("tiny_base", "fused", 2),
        ("untied_base", "fused", 2),
        pytest.param("untied_base", "fused", 4, marks=pytest.mark.slow),
    ],
)
def test_a_sharded_model_takes_the_step_of_a_whole_one_and_is_published_whole(request, tmp_path, base, head, processes):
    """The paper's FSDP2 wrapping under gloo, with either scoring head, full and with LoRA (tests/sharded.py)."""
    base = request.getfixturevalue(base)
    done = torchrun("sharded.py", str(base), str(tmp_path), head, processes=processes)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads((tmp_path / "told.json").read_text())
    for name in ("full", "lora"):
        told = seen[name]
        assert told["sharded"] == 1 and told["loss"][0] == pytest.approx(told["loss"][1], rel=1e-4)
        assert not told["missing"]
        wrong = {key: error for key, error in told["errors"].items() if error > 1e-3}
        assert not wrong  # an untied lm_head among them
        assert same(weights(tmp_path / name), weights(tmp_path / f"{name}-alone"), tolerance=1e-4)
    if head == "fused":  # in bfloat16, after one of several micro-batches
        told = seen["bfloat16"]
        assert told["gradients held whole"] == 0 and told["gradients"] == ["torch.float32"]
        assert told["log_probs"] == "torch.float32"
    assert seen["reference"]["units"] > 4 and seen["reference"]["error"] < 1e-4


def test_fewer_visible_gpus_than_asked_for_are_one_sentence(data, tmp_path, monkeypatch):
    work, params = stage_of(data, tmp_path, "sft")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(StudyError, match="CUDA_VISIBLE_DEVICES names 1 of the 2 GPUs of hardware.gpus"):
        launch.launch(work, params)


def test_a_gpu_out_of_memory_is_told_with_what_to_change(tmp_path):
    output = "Traceback\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\nExit code 1\n"
    told = launch.reason(output, "rl.s1", tmp_path / "log")
    assert told.startswith("rl.s1: a GPU is out of memory. Lower micro_batch") and str(tmp_path / "log") in told


def test_the_log_goes_to_the_tracker_of_the_params(data, tmp_path, monkeypatch):
    monkeypatch.setattr("studylib.cluster.process.find_spec", lambda name: name == "tensorboard" or None)
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    work, params = stage_of(data, tmp_path, "sft", **{"launch.report_to": "tensorboard"})
    asked = arguments(params, work.stage)["launched"]
    assert (asked["report_to"], asked["run_name"]) == ("tensorboard", work.stage.label)
    assert os.environ["TENSORBOARD_LOGGING_DIR"].endswith(f"tensorboard/{work.stage.label}")
    assert os.environ["WANDB_PROJECT"] == "mine"  # a user's own choice stays
    _, params = stage_of(data, tmp_path, "sft", **{"launch.report_to": "wandb"})
    with pytest.raises(StudyError, match="'wandb', which is not installed: pip install wandb"):
        arguments(params, work.stage)
