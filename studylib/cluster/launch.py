"""Training in several processes: the command of `accelerate launch`, followed until it ends, and what it left.

The processes run `studylib.cluster.process`, which does for a stage what it would do in one process.
"""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from studylib.errors import StudyError, named_error
from studylib.params.load import Params
from studylib.paths import ROOT
from studylib.store.identity import Stage
from studylib.store.machine import here
from studylib.store.store import Work

FACTS = "facts.json"
MESSAGE = "studylib: "  # begins the lines that the main process has to say
# The wrapping of the paper's model: each decoder layer and each block of the vision tower a unit of its own.
WRAPPED = "Qwen2_5_VLDecoderLayer,Qwen2_5_VLVisionBlock"
FSDP2 = {
    "fsdp_version": 2,
    "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
    "fsdp_transformer_layer_cls_to_wrap": WRAPPED,
    "fsdp_reshard_after_forward": True,
    "fsdp_state_dict_type": "SHARDED_STATE_DICT",
    "fsdp_cpu_ram_efficient_loading": False,  # the vision tower is copied whole on every process before it is sharded
    "fsdp_offload_params": False,
}


def launch(work: Work, params: Params) -> None:
    """Trains a stage by `accelerate launch`; its facts go into the manifest. Raises StudyError where it fails.

    A run that was cut off goes on from its last checkpoint.
    """
    facts = work.path.with_suffix(f".{FACTS}")
    _check_visible(params)
    if not facts.exists():
        _run(command(work, params), work)
    work.facts |= json.loads(facts.read_text())
    facts.unlink()


def _check_visible(params: Params) -> None:
    """Raises StudyError where CUDA_VISIBLE_DEVICES leaves fewer GPUs than there are processes; "" leaves the CPU."""
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if named and len(named) < params.hardware.gpus:
        raise StudyError(
            f"CUDA_VISIBLE_DEVICES names {len(named)} of the {params.hardware.gpus} GPUs of hardware.gpus: name as "
            f"many, or set hardware.gpus to {len(named)}."
        )


def command(work: Work, params: Params) -> list[str]:
    """Writes the job and accelerate's configuration beside the work folder; gives the command that trains."""
    job, config = work.path.with_suffix(".job.json"), work.path.with_suffix(".accelerate.yaml")
    stage = work.stage
    content = {
        "launcher": here(),
        "params": params.model_dump(mode="json"),
        "stage": {"name": stage.name, "kind": stage.kind, "params": stage.params, "seed": stage.seed},
        "path": str(work.path),
        "inputs": {role: str(run.path) for role, run in work.inputs.items()},
    }
    job.write_text(json.dumps(content))
    config.write_text(yaml.safe_dump(configuration(params, stage)))
    program = ["-m", "studylib.cluster.process", str(job)]
    return [*_launcher(params), "--config_file", str(config), *_meeting(params), *program]


def configuration(params: Params, stage: Stage) -> dict[str, Any]:
    """What `accelerate config` would have written. On CPUs it is started alike, and accelerate then shards nothing."""
    hardware, sharded = params.hardware, params.launch.sharding == "fsdp2"
    alone = hardware.nodes * hardware.gpus == 1  # then DDP would only hold a second copy of the gradients
    section = stage.params["sft" if stage.kind == "sft" else "rl"]
    settings = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "FSDP" if sharded else "NO" if alone else "MULTI_GPU",
        "num_machines": hardware.nodes,
        "num_processes": hardware.nodes * hardware.gpus,
        "mixed_precision": "bf16" if section["dtype"] == "bfloat16" else "no",
        "use_cpu": False,
        "rdzv_backend": "static",
        "same_network": True,
        "main_training_function": "main",
    }
    return settings | ({"fsdp_config": FSDP2} if sharded else {})


def _launcher(params: Params) -> list[str]:
    """accelerate's launcher; where there are several nodes one on each, started by Slurm, which knows its rank."""
    accelerate = [sys.executable, "-m", "accelerate.commands.launch"]
    if params.hardware.nodes == 1:
        return accelerate
    if "SLURM_JOB_ID" not in os.environ:
        raise StudyError(
            f"hardware.nodes is {params.hardware.nodes}, and only Slurm starts several: sbatch params/study.sbatch."
        )
    each = f'exec {shlex.join(accelerate)} --machine_rank $SLURM_NODEID "$@"'
    nodes = [f"--nodes={params.hardware.nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=1"]
    return ["srun", *nodes, "bash", "-c", each, "launch"]


def _meeting(params: Params) -> list[str]:
    """Where the processes meet, and the rank of this node."""
    if params.hardware.nodes == 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return ["--main_process_ip", "127.0.0.1", "--main_process_port", str(free.getsockname()[1])]
    names = subprocess.run(
        ["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]], capture_output=True, text=True, check=True
    )
    port = 20_000 + int(os.environ["SLURM_JOB_ID"]) % 20_000
    return ["--main_process_ip", names.stdout.split()[0], "--main_process_port", str(port)]


def _run(arguments: list[str], work: Work) -> None:
    """Passes on what the main process says; the rest of the output is kept for the reason of a failure."""
    log = work.path.with_suffix(".log")
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    work.report(f"all that it says: {log}")
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=environment,
    )
    try:
        with log.open("w") as kept:
            for line in process.stdout:
                kept.write(line)
                if line.startswith(MESSAGE):
                    work.report(line.removeprefix(MESSAGE).rstrip("\n"))
        process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
    if process.returncode:
        raise StudyError(reason(log.read_text(), work.stage.label, log))
    log.unlink()


def reason(output: str, label: str, log: Path) -> str:
    """One sentence of why the processes ended: their own error, which of them was killed, or what was raised first."""
    if own := named_error(output.splitlines()):
        return own
    if re.search(r"CUDA out of memory|No available memory for the cache|desired GPU memory utilization", output):
        return (
            f"{label}: a GPU is out of memory. Lower micro_batch of its section, or launch.engine_memory (raise it "
            "where the engine says that no memory is left for its cache), or take more GPUs, and see make plan; "
            f"started again, training goes on from its last checkpoint. All that it said is in {log}."
        )
    killed = re.search(r"failed \(exitcode: -(\d+)\) local_rank: (\d+)", output)
    if killed:
        name = signal.Signals(int(killed[1])).name
        return (
            f"{label}: process {killed[2]} was ended by {name} (out of memory?) and the others with it; start again: "
            f"training goes on from its last checkpoint. All they said is in {log}."
        )
    raised = re.search(r"^(?:\[rank\d+\]: )?([\w.]+(?:Error|Exception): .+)", output, re.MULTILINE)
    last = raised[1] if raised else next((line for line in output.splitlines()[::-1] if line.strip()), "no word")
    return f"{label}: training in several processes stopped: {last}; all they said is in {log}."
