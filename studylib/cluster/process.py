"""One of several processes that train a stage together: python -m studylib.cluster.process JOB.json (see launch.py)."""

import faulthandler
import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from studylib.cluster.launch import FACTS, MESSAGE
from studylib.engine.models import mend_torchvision
from studylib.errors import StudyError
from studylib.params.load import Params
from studylib.paths import runs_root
from studylib.store import store
from studylib.store.identity import Stage
from studylib.store.machine import die_with_launcher
from studylib.store.store import Work

# How long a process waits for others, not ten minutes (NCCL): the main one writes 33 GB, another samples 16k tokens.
PATIENCE = timedelta(hours=1)


def train(job: dict[str, Any]) -> None:
    """Does the stage of a job as `studylib.stages.train` does it in one process; the main process leaves the facts."""
    import torch

    from studylib.stages.kinds import KINDS
    from studylib.train import loop
    from studylib.train.sharding import shard_reference_by_layers

    params = Params.model_validate(job["params"])
    stage = Stage(**job["stage"], inputs={}, code=())
    inputs = {role: store.load(Path(path)) for role, path in job["inputs"].items()}
    work = Work(stage, Path(job["path"]), inputs, _say, launched=arguments(params, stage))
    shard_reference_by_layers()
    loop.CHECKPOINT_SECONDS = 60 * params.launch.checkpoint_minutes
    loop.SAVED = torch.bfloat16 if params.model.dtype == "bfloat16" else None  # as the base was, and its engines are
    loop.run = ended_together(loop.run)
    KINDS[stage.kind](work, params)
    check(work.facts, params)
    if loop.main_process():
        part = work.path.with_suffix(".facts.part")
        part.write_text(json.dumps(work.facts))
        part.rename(work.path.with_suffix(f".{FACTS}"))


def ended_together(run: Callable[[Any, Path], None]) -> Callable[[Any, Path], None]:
    """A training that ends when all processes have: the main one then removes what the others may still be reading.

    Here and not in train/loop.py, whose code is part of the identity of everything that one process has trained.
    """

    def whole(trainer: Any, out: Path) -> None:
        run(trainer, out)
        trainer.accelerator.wait_for_everyone()

    return whole


def arguments(params: Params, stage: Stage) -> dict[str, Any]:
    """What the trainer gets beside the study's own settings: checkpointing of layers, the engine of the rollouts."""
    settings: dict[str, Any] = {
        "gradient_checkpointing": params.launch.gradient_checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
    }
    if params.launch.report_to != "none":
        settings |= tracking(params, stage)
    if params.launch.sharding == "fsdp2":
        # Else accelerate keeps the gradients of all but the last micro-batch whole, in bfloat16, on every GPU.
        settings["accelerator_config"] = {"gradient_accumulation_kwargs": {"sync_each_batch": True}}
    if stage.kind != "sft":
        # Of the reference: "auto" would spread it over all GPUs, and never trained it needs no float32.
        dtype = stage.params["rl"]["dtype"]
        settings["model_init_kwargs"] = {"device_map": None, "dtype": dtype}
    if stage.kind == "sft" or params.launch.rollouts == "decoded":
        return {"launched": settings}
    from studylib.train.rollouts_vllm import engine_arguments, engine_rollouts

    return {"launched": settings | engine_arguments(params, stage), "rollouts": engine_rollouts}


def tracking(params: Params, stage: Stage) -> dict[str, str]:
    """Trainer arguments for the tracker of `launch.report_to`; TensorBoard's files go to runs/SCALE/tensorboard.

    Raises StudyError where it is not installed.
    """
    tracker = params.launch.report_to
    if find_spec(tracker) is None:
        raise StudyError(f"launch.report_to is {tracker!r}, which is not installed: pip install {tracker}.")
    project = f"synergy-{params.scale}"
    os.environ.setdefault("WANDB_PROJECT", project)  # the only way in which transformers hears of it
    # Else it writes where the checkpoints to resume from are, and these are removed at the end.
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(runs_root(params.scale) / "tensorboard" / stage.label))
    return {"report_to": tracker, "run_name": stage.label, "project": project}


def check(facts: dict[str, Any], params: Params) -> None:
    """Raises StudyError where the training was not distributed as asked (on CPUs accelerate never shards)."""
    if facts["device"] != "cpu" and params.launch.sharding == "fsdp2" and facts["distributed"] != "FSDP2":
        raise StudyError(
            f"launch.sharding asks for fsdp2 and the training ran as {facts['distributed']}: one GPU needs "
            "launch.sharding none; else check the accelerate configuration beside the work folder."
        )


def _say(line: str) -> None:
    from studylib.train import loop

    if loop.main_process():
        print(MESSAGE + line.partition(": ")[2], flush=True)


def main() -> None:
    faulthandler.enable()
    job = json.loads(Path(sys.argv[1]).read_text())
    die_with_launcher(job["launcher"])
    mend_torchvision()
    import torch
    from accelerate import PartialState

    # Before any work: the process group, this process's GPU.
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    try:
        train(job)
    except StudyError as error:
        print(f"Error: {error}", file=sys.stderr, flush=True)
        sys.exit(2)
    state.wait_for_everyone()
    state.destroy_process_group()  # left open, its threads can abort the interpreter as it ends


if __name__ == "__main__":
    main()
