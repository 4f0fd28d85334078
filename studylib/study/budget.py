"""What a study costs before it is paid for: memory a GPU, tokens, GPU-hours and disk of every stage.

Lengths are assumed, since they are only known afterwards; memory and disk are reckoned for the longest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from studylib.engine.models import base_name
from studylib.errors import StudyError
from studylib.params.load import Params
from studylib.params.schema import Hardware
from studylib.store.identity import Stage
from studylib.study import gpu_memory
from studylib.study.architecture import Architecture, architecture
from studylib.study.gpu_memory import GIB, Memory

# Questions of the released sets, where the params take them whole (Protocol; 2.1).
SIZES = {"MathVision": 3040, "MathVerse": 3940, "MathVista": 1000, "MMMU": 900, "MMStar": 1500}
QUERIES = 34_000
PROMPT = 700  # mean tokens of a prompt with its picture, ours
SHORT = 350  # mean tokens of a response of the base and after RL (Table 7: 337)
LONG = 4000  # after long-CoT SFT, and of its traces: more than ten times as long (2.3)
PICTURE_BYTES = 100_000
USABLE = 0.92  # of a GPU's memory: the rest is the driver's, or lost between blocks
LORA = {"r": 64, "alpha": 128, "dropout": 0.0}
RL_KINDS = ("grpo", "interleaved", "progressive")
SECTIONS = {"sft": "sft"} | dict.fromkeys(RL_KINDS, "rl")  # of the params, by kind of stage


@dataclass(frozen=True)
class Cost:
    """One stage: bytes a GPU, tokens written and read, floating-point operations by pace, bytes on disk."""

    memory: Memory
    tokens: float
    training_flops: float
    sampling_flops: float
    disk: float

    def gpu_hours(self, hardware: Hardware) -> float:
        pace = hardware.tflops * 1e12 * 3600
        return (self.training_flops / hardware.utilisation + self.sampling_flops / hardware.generation) / pace


def report(params: Params, plan: dict[str, Stage]) -> Iterator[str]:
    """Lines of the table, its totals, its assumptions. Raises StudyError at the end if the plan does not fit."""
    hardware = params.hardware
    arch = replace(architecture(base_name(params)), picture=params.model.max_pixels // 28**2)
    costs = {name: cost(params, node, arch) for name, node in plan.items()}
    yield f"{hardware.nodes} x {hardware.gpus} GPUs of {hardware.memory_gib:g} GiB; GiB a GPU, then of the whole stage"
    yield f"{'stage':28}{'weights':>9}{'grads':>7}{'optim':>7}{'activ':>7}{'cache':>7}{'sum':>7}" + (
        f"{'M tokens':>10}{'GPU-h':>9}{'disk GiB':>10}"
    )
    for name, each in costs.items():
        yield _line(name, each, hardware)
    hours = sum(each.gpu_hours(hardware) for each in costs.values())
    disk = sum(each.disk for each in costs.values()) + 2 * arch.parameters
    gpus = hardware.nodes * hardware.gpus
    days = hours / gpus / 24
    yield f"In all {hours:,.0f} GPU-hours, {days:.1f} days on these {gpus} GPUs; {disk / 2**40:.1f} TiB of disk."
    yield (
        f"Assumed: {arch.parameters / 1e9:.2f} billion parameters; prompts of {PROMPT} tokens; responses of {SHORT} "
        f"tokens, after long-CoT SFT and in its traces {LONG}; memory for the longest, and {USABLE:.0%} of a GPU's."
    )
    refuse(params, plan, arch, disk)


def _line(name: str, each: Cost, hardware: Hardware) -> str:
    memory = each.memory
    parts = (memory.weights, memory.gradients, memory.optimizer, memory.activations, memory.cache, memory.total)
    shown = "".join(
        f"{part / GIB:{width}.1f}" if part else " " * width
        for part, width in zip(parts, (9, 7, 7, 7, 7, 7), strict=True)
    )
    few = memory.sequences < memory.wanted
    note = f"  {memory.sequences} of {memory.wanted} answers at once at full length" if few else ""
    return f"{name:28}{shown}{each.tokens / 1e6:10,.1f}{each.gpu_hours(hardware):9,.1f}{each.disk / GIB:10,.1f}{note}"


def refuse(params: Params, plan: dict[str, Stage], arch: Architecture, disk: float) -> None:
    """Raises StudyError naming the first stage that does not fit and what would fit it."""
    hardware, said = params.hardware, []
    wrong = {name: problem for name, node in plan.items() if (problem := _problem(params, node, arch))}
    if wrong:
        name = next(iter(wrong))
        also = f" (and {len(wrong) - 1} more stages)" if len(wrong) > 1 else ""
        would = ", or ".join(_what_would(params, plan[name], arch)) or "no single change that was tried"
        said.append(f"{name}{also}: {wrong[name]}; it would fit with {would}")
    if disk > hardware.disk_tib * 2**40:
        said.append(
            f"it leaves {disk / 2**40:.1f} TiB and hardware.disk_tib is {hardware.disk_tib:g}: keep fewer checkpoints "
            "(rl.checkpoint_every, sft.epochs) or take more disk"
        )
    if said:
        raise StudyError(f"The plan of {params.scale} does not fit its hardware. {'. Also, '.join(said)}.")


def _problem(params: Params, node: Stage, arch: Architecture, change: dict[str, Any] | None = None) -> str | None:
    """Why a stage cannot run on the hardware of these params, or None."""
    hardware = params.hardware
    needed = memory_of(params, node, arch, change).total
    if needed > USABLE * hardware.memory_gib * GIB:
        return f"needs GPUs of {needed / GIB / USABLE:.0f} GiB and these have {hardware.memory_gib:g}"
    if node.kind in SECTIONS:
        asked = node.params[SECTIONS[node.kind]] | (change or {})
        batch = asked.get("batch_size") or asked["prompts_per_step"] * asked["rollouts"] // asked["mini_batches"]
        gpus = hardware.nodes * hardware.gpus
        if batch % (asked["micro_batch"] * gpus):
            return f"a batch of {batch} does not divide over {gpus} GPUs with micro_batch {asked['micro_batch']}"
    return None


def _what_would(params: Params, node: Stage, arch: Architecture) -> Iterator[str]:
    """Single changes under which the stage fits."""
    hardware = params.hardware
    changes: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    if node.kind in SECTIONS:
        section = SECTIONS[node.kind]
        changes += [(f"{section}.micro_batch 1", {"micro_batch": 1}, {})]
        changes += [(f"hardware.gpus {gpus}", {}, {"gpus": gpus}) for gpus in (4, 8)]
        changes += [(f"hardware.nodes {nodes}", {}, {"nodes": nodes}) for nodes in (1, 2, 4, 8)]
        changes += [(f"{section}.lora {{r: 64, alpha: 128}}", {"lora": LORA}, {})]
    changes += [(f"GPUs of {gib} GiB", {}, {"memory_gib": gib}) for gib in (24, 40, 48, 80, 141, 192)]
    for told, asked, machine in changes:
        other = params.model_copy(update={"hardware": hardware.model_copy(update=machine)})
        if other.hardware != hardware or asked:
            if not _problem(other, node, arch, asked):
                yield told


def memory_of(params: Params, node: Stage, arch: Architecture, change: dict[str, Any] | None = None) -> Memory:
    hardware = params.hardware
    gpus, room = hardware.nodes * hardware.gpus, USABLE * hardware.memory_gib * GIB
    if node.kind == "sft":
        return gpu_memory.training(arch, node.params["sft"] | (change or {}), params.sampling.max_new_tokens, gpus)
    if node.kind in RL_KINDS:
        return gpu_memory.rl(arch, node.params["rl"] | (change or {}), gpus, room)
    if node.kind in ("sample", "select"):
        limit = node.params["sampling"]["max_new_tokens"]
        value = 2 if params.model.dtype == "bfloat16" else 4
        return gpu_memory.sampling(arch, params.engine.batch_size, limit, room, value)
    if node.kind == "divergence":
        return gpu_memory.divergence(arch, params.sampling.max_new_tokens)
    return Memory()


def cost(params: Params, node: Stage, arch: Architecture) -> Cost:
    memory = memory_of(params, node, arch)
    if node.kind in ("sample", "select"):
        rounds = 1 if node.kind == "sample" else _checkpoints(node)
        answers = count(params, node) * node.params["samples"] * rounds
        tokens = answers * length(node)
        flops = answers * (_pass(arch, PROMPT) / node.params["samples"] + _writing(arch, length(node)))
        return Cost(memory, tokens, 0, flops, 4 * tokens)
    if node.kind == "sft":
        asked, traces = node.params["sft"], count(params, node)
        read = PROMPT + (SHORT if node.inputs["data"].kind == "mix" else LONG)
        tokens = traces * asked["epochs"] * read
        flops = 4 * traces * asked["epochs"] * _pass(arch, read)  # forward, again, and twice back
        return Cost(memory, tokens, flops, 0, _saved(arch, asked, _checkpoints(node) or asked["epochs"]))
    if node.kind in RL_KINDS:
        asked = node.params["rl"]
        rollouts = asked["steps"] * asked["prompts_per_step"] * asked["rollouts"]
        said = length(node)
        passes = 4 + 1 + bool(asked["beta"])  # the update, the old policy and the reference
        return Cost(
            memory,
            rollouts * said,
            passes * rollouts * _pass(arch, PROMPT + said),
            rollouts * (_pass(arch, PROMPT) / asked["rollouts"] + _writing(arch, said)),
            _saved(arch, asked, _checkpoints(node)),
        )
    if node.kind == "divergence":
        responses = node.params["questions"] * len(params.data.benchmarks)
        tokens = responses * length(node)
        return Cost(memory, tokens, 2 * responses * _pass(arch, PROMPT + length(node)), 0, 20 * tokens)
    if node.kind == "merging":
        return Cost(memory, 0, 0, 0, 4 * arch.parameters * _checkpoints(node))
    rows = count(params, node) if node.kind in ("questions", "hub_questions", "distill", "no_easy", "mix") else 0
    return Cost(memory, 0, 0, 0, rows * PICTURE_BYTES)


def _pass(arch: Architecture, tokens: float) -> float:
    """Operations of one forward pass over a sequence: two a parameter and token, and causal attention."""
    return 2 * arch.language * tokens + 2 * arch.layers * arch.hidden * tokens**2


def _writing(arch: Architecture, tokens: float) -> float:
    """Operations of writing so many tokens one by one after a prompt."""
    return _pass(arch, PROMPT + tokens) - _pass(arch, PROMPT)


def _saved(arch: Architecture, asked: dict[str, Any], checkpoints: int) -> float:
    """Published checkpoints in float32, and while it trains the one to resume from, with its moments."""
    return 4 * arch.parameters * (checkpoints + 1) + 8 * gpu_memory.trained_parameters(arch, asked)


def _checkpoints(node: Stage) -> int:
    """Checkpoints that a training stage publishes, or that a selection validates (the base: one)."""
    trained = node.inputs.get("model") if node.kind == "select" else node
    if trained is None:
        return 1
    if trained.kind == "sft":
        return trained.params["sft"]["epochs"]
    if trained.kind == "merging":
        return len(trained.params["merging"]["methods"]) * len(trained.params["merging"]["shares"])
    return -(-trained.params["rl"]["steps"] // trained.params["rl"]["checkpoint_every"])


def count(params: Params, node: Stage) -> int:
    """Questions that a stage reads; a distilled set counts as all of its queries, a mixed one as all answers."""
    data = params.data
    if node.kind == "mix":
        return count(params, node.inputs["questions"]) * node.inputs["responses"].params["samples"]
    if node.kind in ("questions", "hub_questions"):
        if node.params["split"] == "train":
            return data.train or QUERIES
        if node.params["split"] == "validation":
            return data.validation * (1 if data.published else len(data.benchmarks))
        sizes = [SIZES.get(name, data.test or 0) for name in data.benchmarks]
        return sum(min(size, data.test or size) for size in sizes)
    if node.kind in ("traces", "hub_traces"):
        return data.text_traces
    return count(params, node.inputs["questions"] if "questions" in node.inputs else node.inputs["data"])


def length(node: Stage) -> int:
    """Mean tokens of a response: long after long-CoT SFT, and never beyond the limit."""
    sampled = node.inputs.get("responses")
    if node.kind == "divergence" and sampled is not None:
        return length(sampled)
    limit = node.params["rl"] if node.kind in RL_KINDS else node.params["sampling"]
    return min(LONG if _long(node.inputs.get("model")) else SHORT, limit["max_new_tokens"])


def _long(trained: Stage | None) -> bool:
    """Whether a model answers at the length of long-CoT SFT: trained so, started from one, or merged of one."""
    if trained is None or trained.kind == "sft":
        return trained is not None and trained.inputs["data"].kind != "mix"
    return _long(trained.inputs.get("sft") or trained.inputs.get("model"))
