"""What a GPU has to show before a study is paid for (make gpu-smoke): fifteen minutes on one or two.

The model is the mini base with an output head of its own, as the 7B has; questions are the mini world's, sizes those
of params/smoke.yaml. Prints a row for everything that was proved; without a GPU it runs what a CPU can.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from studylib.errors import StudyError
from studylib.paths import ROOT
from studylib.store import store
from studylib.study.notebook import Study
from tests.paper.untied import untied

FOLDER = ROOT / "runs" / "gpu-smoke"
SIZES = {
    "engine.batch_size": 4,
    "sampling.max_new_tokens": 96,
    "sft.epochs": 6,
    "sft.micro_batch": 1,
    "rl.prompts_per_step": 8,
    "rl.rollouts": 4,
    "rl.micro_batch": 4,
    "distill.responses": 4,
    "first_seed_only": [],
    "arms": {
        "sft_careful": {"method": "sft", "data": "careful"},
        "rl": {"method": "grpo", "data": "eureka"},
        "progressive": {"method": "progressive", "data": "eureka"},
    },
    "mixing.arm": "rl",
    "merging.sft": "sft_careful",
}
PATIENCE = 1800  # seconds to wait for the moment at which to kill
NEAR = 0.9  # least cosine of what two ways of training did to a tensor: bfloat16 and Adam blur it, a fault does more
GAP = 0.1  # nats a token between the log-probabilities of engine and trainer: bfloat16 gives about 0.01


@dataclass(frozen=True)
class Place:
    """What there is to prove things on."""

    gpus: int
    engine: bool

    @property
    def processes(self) -> int:
        return min(2, self.gpus) or 2

    def study(self, alone: bool = False, **changes: Any) -> Study:
        """The small study in all processes, or in one."""
        number = 1 if alone else self.processes
        dtype = "bfloat16" if self.gpus else "float32"
        launch = {
            "sharding": "fsdp2" if number > 1 else "none",
            "gradient_checkpointing": True,
            "rollouts": "colocate" if self.gpus and self.engine else "decoded",
            "engine_memory": 0.3,
            "checkpoint_minutes": 0.02,
        }
        hardware = {"nodes": 1, "gpus": number, "memory_gib": 80, "tflops": 100, "utilisation": 0.3, "generation": 0.1}
        overrides = {
            **SIZES,
            "model": {"path": str(FOLDER / "untied"), "dtype": dtype},
            "engine.name": "vllm" if self.gpus and self.engine else "hf",
            "sft.dtype": dtype,
            "rl.dtype": dtype,
            "hardware": {**hardware, "disk_tib": 1},
            "launch": launch,
            **changes,
        }
        return Study("smoke", 1, True, overrides)


def model(_: Place) -> str:
    return f"{untied(FOLDER / 'untied') / 1e6:.1f} million parameters"


def killed_training(place: Place) -> str:
    study = place.study()
    work = killed(study, "sft_careful", lambda work: any(work.glob("resume/checkpoint-*/trainer_state.json")))
    begun = max(int(path.name.split("-")[1]) for path in work.glob("resume/checkpoint-*"))
    facts = study.get("sft_careful").manifest["facts"]
    steps = [json.loads(line)["step"] for line in (study.get("sft_careful").path / "log.jsonl").open()]
    if steps != sorted(set(steps)) or begun >= steps[-1]:
        raise StudyError(f"the log has the steps {steps}, and it went on from {begun}")
    if place.gpus > 1 and facts["distributed"] != "FSDP2":
        raise StudyError(f"it ran as {facts['distributed']} and not as FSDP2")
    return f"from step {begun} of {steps[-1]}; {facts['distributed']}, {facts['processes']} on {facts['device']}"


def same_steps(place: Place) -> str:
    """Every tensor, lm_head included, has gone the way that one process goes."""
    from safetensors.torch import load_file

    def weights(run: store.Run) -> dict:
        return load_file(run.path / run.manifest["facts"]["checkpoints"][-1] / "model.safetensors")

    base = load_file(FOLDER / "untied" / "model.safetensors")
    together = weights(place.study().get("sft_careful"))
    # The same stage, since how it is launched changes nothing of what it is: made again in a folder of its own.
    os.environ["STUDY_RUNS"] = str(FOLDER / "alone")
    try:
        alone = weights(place.study(alone=True).get("sft_careful"))
    finally:
        os.environ["STUDY_RUNS"] = str(FOLDER)
    cosines = {}
    for name, before in base.items():
        ways = [(after[name].float() - before).flatten() for after in (together, alone)]
        if min(way.norm() for way in ways) > 0:
            cosines[name] = float(ways[0] @ ways[1] / ways[0].norm() / ways[1].norm())
    worst = min(cosines, key=cosines.get)
    if cosines[worst] < NEAR or "lm_head.weight" not in cosines:
        raise StudyError(f"{worst} went another way: cosine {cosines[worst]:.3f}")
    return f"{len(cosines)} tensors, lm_head {cosines['lm_head.weight']:.4f}, worst {cosines[worst]:.4f}"


def killed_sampling(place: Place) -> str:
    study = place.study()
    work = killed(study, "base_a.responses", lambda work: _answered(work) > 0)
    kept = _answered(work)
    table = study.table("base_a.responses")
    expected = 5 * study.params.data.test * study.params.sampling.base
    if len(table) != expected or table.duplicated(["question_id", "sample"]).any():
        raise StudyError(f"{len(table)} responses, some twice, and {expected} were asked for")
    return f"{kept} parts kept, {expected} responses by {study.params.engine.name}"


def _answered(work: Path) -> int:
    """Parts that are written of a sampling stage: files of our own loop, lines of vLLM's."""
    files = [path for path in work.with_suffix(".parts").glob("*") if path.suffix in ("", ".jsonl")]
    return sum(path.read_text().count("\n") if path.suffix else 1 for path in files)


def grpo(place: Place) -> str:
    return _rl(place.study(), "rl")


def progressive(place: Place) -> str:
    study = place.study()
    told = _rl(study, "progressive")
    return f"{told}; {study.get('progressive').manifest['facts']['hard_with_prefix']} questions with a prefix"


def lora(place: Place) -> str:
    adapters = {"r": 8, "alpha": 16}
    return _rl(place.study(alone=True, **{"rl.lora": adapters, "rl.lr": 1e-3}), "rl")


def _rl(study: Study, name: str) -> str:
    run = study.get(name)
    lines = [json.loads(line) for line in (run.path / "log.jsonl").open()]
    facts, rollouts = run.manifest["facts"], study.params.launch.rollouts
    gaps = [line["engine_gap"] for line in lines if "engine_gap" in line]
    if rollouts == "colocate" and (not gaps or max(gaps) > GAP):
        raise StudyError(f"the engine's log-probabilities are not the trainer's: {gaps} nats a token")
    gap = f", engine gap {max(gaps):.4f}" if gaps else ""
    return f"{len(lines)} steps, reward {lines[-1]['reward']:.2f}, {rollouts} on {facts['device']}{gap}"


def divergence(place: Place) -> str:
    table = place.study().table("rl.divergence")
    if not (table["kl"].notna().all() and table["kl"].min() > -1e-3):
        raise StudyError("it is negative or no number")
    return f"{len(table)} tokens, mean {table['kl'].mean():.4f} nats"


def killed(study: Study, name: str, moment: Callable[[Path], bool]) -> Path:
    """Makes what a stage needs, starts it, and kills it outright at a moment; gives its work folder."""
    study.run(*(source.name for source in study.stage(name).inputs.values()))
    work = store.work_folder(study.stage(name), study.root)
    command = [sys.executable, "-m", "studylib", "stage", name, "--scale", study.scale, "--seed", str(study.seed)]
    for key, value in study.overrides.items():
        command += ["--set", f"{key}={json.dumps(value)}"]
    with (FOLDER / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + PATIENCE
    while not moment(work) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    ended = process.poll() is not None
    if not ended:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if ended or not moment(work):
        raise StudyError(f"it was over, or never came so far, before it could be killed: {log.name}")
    return work


# What is shown, what it needs beyond a CPU, and how.
ROWS: list[tuple[str, str, Callable[[Place], str]]] = [
    ("a model with an output head of its own", "", model),
    ("SFT is killed and goes on", "FSDP2: two GPUs", killed_training),
    ("it takes the steps of one process, lm_head too", "FSDP2: two GPUs", same_steps),
    ("sampling is killed and goes on", "vLLM", killed_sampling),
    ("GRPO with the engine beside the trainer", "vLLM that sleeps: a GPU", grpo),
    ("progressive: prefixes before the answer", "vLLM that sleeps: a GPU", progressive),
    ("token-level KL", "bfloat16 on a GPU", divergence),
    ("GRPO with LoRA, the frozen base in bfloat16", "a GPU", lora),
]


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)  # what is there already could not be killed on its way
    FOLDER.mkdir(parents=True)
    os.environ |= {"STUDY_RUNS": str(FOLDER), "TQDM_DISABLE": "1"}
    place = here()
    begun, failed, left = time.monotonic(), [], []
    print(f"{place.gpus or 'no'} GPU, vLLM {'there' if place.engine else 'not installed (make engine)'}", flush=True)
    for name, needs, prove in ROWS:
        start = time.monotonic()
        try:
            fact, state = prove(place), "proved" if place.gpus or not needs else "on a CPU"
        except Exception as error:  # whatever it is, the next row may still be proved
            fact, state = f"{type(error).__name__}: {error}".splitlines()[0], "FAILED"
            failed.append(name)
        if needs and _short(place, needs):
            left.append(f"{name} ({needs})")
        print(f"{name:48} {state:9} {time.monotonic() - start:6.0f} s  {fact}", flush=True)
    print(f"{len(ROWS) - len(failed)} of {len(ROWS)} rows in {(time.monotonic() - begun) / 60:.1f} min")
    if left:
        print("Left for other hardware: " + "; ".join(left))
    if failed:
        sys.exit(f"Error: send us this table, the logs under {FOLDER}, and the output of nvidia-smi and pip freeze.")


def here() -> Place:
    """Asks in a process of its own, since what torch has seen of the GPUs stays."""
    count = "import torch; print(torch.cuda.device_count())"
    gpus = int(subprocess.run([sys.executable, "-c", count], capture_output=True, text=True, check=True).stdout)
    return Place(gpus, find_spec("vllm") is not None)


def _short(place: Place, needs: str) -> bool:
    """Whether this place cannot show what a row needs."""
    if "two" in needs:
        return place.gpus < 2
    return not place.gpus or ("vLLM" in needs and not place.engine)


if __name__ == "__main__":
    main()
