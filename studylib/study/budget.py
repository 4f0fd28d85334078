"""What a study costs before it is paid for: memory of GPUs and hosts, hours and disk of every stage.

Lengths and paces are only known afterwards: they are assumed, in the constants below. Memory and disk are those of the
longest. Training is reckoned as studylib.train does it: state in float32 as in ZeRO (arXiv 1910.02054, section 3.1),
work in bfloat16, layers checkpointed, the vocabulary's logits never held whole. Left out: downloads, waiting for
other jobs, checkpoints to resume from, the prefixes of progressive in its time.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from studylib.engine.models import base_name
from studylib.errors import StudyError
from studylib.params.load import Params
from studylib.store.identity import Stage
from studylib.study.architecture import Architecture, architecture

GIB = 2**30
# Questions of the released sets, where the params take them whole (Protocol; 2.1).
SIZES = {"MathVision": 3040, "MathVerse": 3940, "MathVista": 1000, "MMMU": 900, "MMStar": 1500}
QUERIES = 34_000
PROMPT = 700  # mean tokens of a prompt with its picture, ours
SHORT = 350  # mean tokens of a response of the base and after RL (Table 7: 337)
LONG = 4000  # after long-CoT SFT, and of its traces: more than ten times as long (2.3)
QUESTION = 320  # tokens of the longest question that is planned for, without its picture
FAILED = 0.25  # of a step's questions have no right rollout, and so a demonstration (interleaved)

USABLE = 0.92  # of a GPU's memory: the rest is the driver's, or lost between blocks
ENGINE = 0.9  # of a GPU that an engine takes where it is alone (vLLM's default)
ASLEEP = 1.5 * GIB  # graphs and buffers, which an engine keeps while it sleeps
BLOCK = 1024  # positions whose logits are held at once
READ = 8192  # prompt tokens that vLLM reads at once
PROCESS = 5 * GIB  # host memory of a process besides its weights
PICTURE_BYTES = 100_000

START = 90.0  # seconds to start an engine or a training: weights, compilation, graphs
ALONE = 0.008  # seconds a token of the answer that all others wait for
PICTURE = 0.08  # seconds to decode a picture, cut it, and read it in the tower
HANDOVER = 1e-9  # seconds a parameter to hand weights to the engine, which wakes and sleeps
LINK = 150e9  # bytes a second in which layers come from other GPUs
GRADED = 0.005  # seconds of a core for an answer
AUTHORS = "Qwen/Qwen2.5-VL-7B-Instruct"  # the base of the released checkpoints
RL_KINDS = ("grpo", "interleaved", "progressive")
SECTIONS = {"sft": "sft"} | dict.fromkeys(RL_KINDS, "rl")  # of the params, by kind of stage


@dataclass(frozen=True)
class Cost:
    """One stage: bytes a GPU (`state` of training, `work` of a pass, the `engine`, the most at once), host bytes a
    node, tokens, seconds, the GPUs that it holds, bytes on disk; answers at once in the engine, of full length and of
    the usual one, of how many.
    """

    state: float = 0
    work: float = 0
    engine: float = 0
    peak: float = 0
    host: float = PROCESS
    tokens: float = 0
    seconds: float = 0
    gpus: int = 0
    disk: float = 0
    whole: int = 0
    usual: int = 0
    wanted: int = 0

    @property
    def gpu_hours(self) -> float:
        return self.seconds * self.gpus / 3600


def report(params: Params, plan: dict[str, Stage]) -> Iterator[str]:
    """Lines of the table, its totals, its assumptions. Raises StudyError at the end if the plan does not fit."""
    hardware, reckoner = params.hardware, Reckoner(params, architecture(base_name(params)))
    costs = {name: reckoner.cost(node) for name, node in plan.items()} | chapter_12(params, plan)
    yield f"{hardware.nodes} x {hardware.gpus} GPUs of {hardware.memory_gib:g} GiB; GiB a GPU, then of a host and disk"
    head = ("state", "work", "engine", "most", "host", "disk", "M tokens", "hours", "GPU-h")
    yield f"{'stage':28}" + "".join(f"{word:>9}" for word in head)
    for name, cost in costs.items():
        sizes = (cost.state, cost.work, cost.engine, cost.peak, cost.host, cost.disk)
        shown = "".join(f"{size / GIB:9.1f}" if size else " " * 9 for size in sizes)
        times = f"{cost.tokens / 1e6:9,.1f}{cost.seconds / 3600:9,.1f}{cost.gpu_hours:9,.1f}"
        few = f"  {cost.usual} of {cost.wanted} answers at once" if cost.usual < cost.wanted else ""
        if cost.seconds or cost.disk:
            yield f"{name:28}{shown}{times}{few}"
    every = costs.values()
    disk = sum(cost.disk for cost in every) + 2 * reckoner.arch.parameters
    answers = sum(reckoner.answers(node) for node in plan.values() if node.kind in ("sample", "select"))
    yield (
        f"In all {sum(cost.gpu_hours for cost in every):,.0f} GPU-hours, "
        f"{sum(cost.seconds for cost in every) / 86400:.1f} days one stage after the other; {disk / 2**40:.1f} TiB of "
        f"disk; {max(cost.host for cost in every) / GIB:,.0f} GiB of memory in each host; "
        f"{answers * GRADED / 3600:.1f} core-hours of grading beside the GPUs."
    )
    yield (
        f"Assumed: {reckoner.arch.parameters / 1e9:.2f} billion parameters; prompts of {PROMPT} tokens; responses of "
        f"{SHORT} tokens, after long-CoT SFT and in its traces {LONG}; {START:.0f} s to start an engine and "
        f"{1000 * ALONE:.0f} ms a token of the longest answer; memory for the longest, and {USABLE:.0%} of a GPU's."
    )
    _refuse(params, plan, costs, disk)


def chapter_12(params: Params, plan: dict[str, Stage]) -> dict[str, Cost]:
    """The cost of re-scoring each released checkpoint, which is asked as its arm is."""
    reckoner = Reckoner(params, architecture(AUTHORS))
    return {f"released.{arm}": reckoner.released(plan[f"{arm}.responses"]) for arm in params.released}


def _refuse(params: Params, plan: dict[str, Stage], costs: dict[str, Cost], disk: float) -> None:
    """Raises StudyError naming the first stage that does not fit, and what to change."""
    wrong = {name: why for name, cost in costs.items() if (why := _problem(params, plan.get(name), cost))}
    reasons = []
    if wrong:
        name = next(iter(wrong))
        reasons.append(f"{name}{f' (and {len(wrong) - 1} more)' if len(wrong) > 1 else ''}: {wrong[name]}")
    if disk > params.hardware.disk_tib * 2**40:
        reasons.append(
            f"it leaves {disk / 2**40:.1f} TiB and hardware.disk_tib is {params.hardware.disk_tib:g}: keep fewer "
            "checkpoints (rl.checkpoint_every, sft.epochs) or take more disk"
        )
    if reasons:
        raise StudyError(f"The plan of {params.scale} does not fit its hardware. {'. Also, '.join(reasons)}.")


def _problem(params: Params, node: Stage | None, cost: Cost) -> str | None:
    """Why a stage cannot run on the hardware of these params, with the way out; None if it can."""
    hardware, section = params.hardware, SECTIONS.get(node.kind) if node else None
    settings = node.params[section] if section else {}
    if cost.wanted and not cost.whole:
        way = "raise launch.engine_memory" if section else "take larger ones, or lower sampling.max_new_tokens"
        return f"an engine with {cost.engine / GIB:.0f} GiB of a GPU has no room for one whole answer: {way}"
    if cost.peak > USABLE * hardware.memory_gib * GIB:
        ways = [f"{section}.micro_batch 1"] if settings.get("micro_batch", 1) > 1 else []
        ways += [f"{section}.lora {{r: 64, alpha: 128}}"] if section and not settings["lora"] else []
        ways += ["more GPUs (launch.sharding fsdp2)"] if section else []
        needs = f"needs GPUs of {cost.peak / GIB / USABLE:.0f} GiB and these have {hardware.memory_gib:g}"
        return f"{needs}: take larger ones{''.join(f', or {way}' for way in ways)}"
    if hardware.host_gib and cost.host > hardware.host_gib * GIB:
        return f"needs {cost.host / GIB:.0f} GiB of host memory and hardware.host_gib is {hardware.host_gib:g}"
    gpus = hardware.nodes * hardware.gpus
    batch = settings and (
        settings.get("batch_size") or settings["prompts_per_step"] * settings["rollouts"] // settings["mini_batches"]
    )
    if batch and batch % (settings["micro_batch"] * gpus):
        return f"a batch of {batch} does not divide over {gpus} GPUs with micro_batch {settings['micro_batch']}"
    return None


class Reckoner:
    """The costs of stages of these params with a model of this architecture."""

    def __init__(self, params: Params, arch: Architecture):
        self.params, self.arch, self.hardware = params, arch, params.hardware
        self.gpus = self.hardware.nodes * self.hardware.gpus
        self.sharded = params.launch is not None and params.launch.sharding == "fsdp2"
        self.picture = params.model.max_pixels // 28**2  # tokens of the largest
        self.prompt = self.picture + QUESTION
        self.limit = params.sampling.max_new_tokens  # of the longest trace

    def cost(self, node: Stage) -> Cost:
        if node.kind in ("sample", "select"):
            return self.sampling(node)
        if node.kind == "sft":
            return self.sft(node)
        if node.kind in RL_KINDS:
            return self.rl(node)
        if node.kind == "divergence":
            return self.divergence(node)
        if node.kind == "merging":  # on the CPU, both parents, the base and the result in float32
            return Cost(host=16 * self.arch.parameters, disk=2 * self.arch.parameters * checkpoints(node))
        makes_rows = node.kind in ("questions", "hub_questions", "distill", "no_easy", "mix")
        return Cost(disk=PICTURE_BYTES * count(self.params, node) if makes_rows else 0)

    # Stages

    def sampling(self, node: Stage) -> Cost:
        """vLLM alone on every GPU of a node; a selection starts it anew for each checkpoint."""
        sampling, gpus, wanted = node.params["sampling"], self.hardware.gpus, self.params.engine.batch_size
        rounds, questions = checkpoints(node) if node.kind == "select" else 1, count(self.params, node)
        seconds = START + questions * PICTURE / gpus + sampling["max_new_tokens"] * ALONE
        seconds += self.writing(questions, node.params["samples"], length(node)) / gpus
        engine, tokens = ENGINE * self.hardware.memory_gib * GIB, self.answers(node) * length(node)
        return Cost(
            engine=engine,
            peak=engine,
            host=gpus * PROCESS,
            tokens=tokens,
            seconds=rounds * seconds,
            gpus=gpus,
            disk=4 * tokens,
            whole=self.held(engine, wanted, self.prompt + sampling["max_new_tokens"]),
            usual=self.held(engine, wanted, PROMPT + length(node)),
            wanted=wanted,
        )

    def released(self, node: Stage) -> Cost:
        cost = self.sampling(node)
        return replace(cost, disk=cost.disk + 2 * self.arch.parameters)

    def sft(self, node: Stage) -> Cost:
        sft, traces = node.params["sft"], count(self.params, node)
        tokens = PROMPT + (SHORT if node.inputs["data"].kind == "mix" else LONG)
        rows = traces * sft["epochs"] / self.gpus
        seconds = START + rows * PICTURE
        seconds += self.training(rows, self.update_passes(sft), tokens, sft["micro_batch"])
        state, _ = self.state(sft)
        work = self.activations(sft, sft["micro_batch"] * (self.prompt + self.limit), sft["micro_batch"])
        return Cost(
            state=state,
            work=work,
            peak=state + work,
            host=self.host(sft),
            tokens=traces * sft["epochs"] * tokens,
            seconds=seconds,
            gpus=self.gpus,
            disk=self.saved(sft, checkpoints(node)),
        )

    def rl(self, node: Stage) -> Cost:
        """GRPO with vLLM beside the trainer on every GPU. Rollouts and updates alternate, and so does their memory."""
        rl = node.params["rl"]
        prompts, micro, answer = rl["prompts_per_step"] / self.gpus, rl["micro_batch"], rl["max_new_tokens"]
        rollouts, mean_tokens = prompts * rl["rollouts"], length(node)
        prompt = self.prompt + (self.limit if node.kind == "progressive" else 0)  # the longest prefix: a whole thought
        passes = self.update_passes(rl) + (rl["mini_batches"] > 1) + (rl["beta"] > 0)  # old policy, reference
        step = self.writing(prompts, rl["rollouts"], mean_tokens) + answer * ALONE + HANDOVER * self.arch.parameters
        step += self.training(rollouts, passes, PROMPT + mean_tokens, micro) + prompts * PICTURE
        state, resting = self.state(rl)
        # Where prompts are the longer part, one is read once for all of its rollouts.
        together = prompt + micro * answer if prompt >= answer else micro * (prompt + answer)
        work = self.activations(rl, together, 1 if prompt >= answer else micro)
        if node.kind == "interleaved":  # the demonstration is read while the graph of the rollouts is alive
            shown = 1 if node.params["interleaved"]["everywhere"] else FAILED
            step += self.training(shown * prompts, self.update_passes(rl), PROMPT + LONG, 1)
            work += self.activations(rl, self.prompt + self.limit, 1)
        engine = self.params.launch.engine_memory * self.hardware.memory_gib * GIB
        wanted = math.ceil(rollouts)
        return Cost(
            state=state,
            work=work,
            engine=engine,
            peak=max(state + work + ASLEEP, resting + engine),
            host=self.host(rl),
            tokens=rl["steps"] * rl["prompts_per_step"] * rl["rollouts"] * mean_tokens,
            seconds=START + rl["steps"] * step,
            gpus=self.gpus,
            disk=self.saved(rl, checkpoints(node)),
            whole=self.held(engine, wanted, prompt + answer),
            usual=self.held(engine, wanted, PROMPT + mean_tokens),
            wanted=wanted,
        )

    def divergence(self, node: Stage) -> Cost:
        """Two whole models in bfloat16 on every GPU of a node read some responses; a block of logits of both."""
        arch, gpus = self.arch, self.hardware.gpus
        responses, longest = node.params["questions"] * len(self.params.data.benchmarks), self.prompt + self.limit
        state = 4 * arch.parameters
        work = 12 * longest * (arch.hidden + arch.intermediate) + 20 * BLOCK * arch.vocabulary
        return Cost(
            state=state,
            work=work,
            peak=state + work,
            host=gpus * (2 * arch.parameters + PROCESS),
            tokens=responses * length(node),
            seconds=START + self.training(responses / gpus, 2, PROMPT + length(node), math.inf),
            gpus=gpus,
            disk=20 * responses * length(node),
        )

    # Memory

    def trained(self, settings: dict[str, Any]) -> int:
        """Parameters in training: without the frozen tower; with LoRA the adapters alone."""
        return self.arch.adapters(settings["lora"]["r"]) if settings["lora"] else self.arch.language

    def state(self, settings: dict[str, Any]) -> tuple[float, float]:
        """Bytes a GPU of weights, gradients and moments while it updates, and of what stays in between."""
        arch, shards, trained = self.arch, self.gpus if self.sharded else 1, self.trained(settings)
        weights = 2 * arch.parameters + 4 * trained if settings["lora"] else 4 * arch.parameters
        reference = 2 * arch.parameters if settings.get("beta") and not settings["lora"] else 0
        resting = (weights + reference + 8 * trained) / shards + 2 * arch.vision  # the tower whole, for its features
        # In bfloat16 besides: the layers in use where they are sharded, all of them where autocast keeps them.
        used = (
            2 * (2 * arch.layer + 2 * arch.embedding) if self.sharded else 0 if settings["lora"] else 2 * arch.language
        )
        return resting + 4 * trained / shards + used, resting

    def activations(self, settings: dict[str, Any], tokens: int, pictures: int) -> float:
        """Bytes: kept inputs of every layer, one layer at work forward and back, a block of logits, pictures.

        The bytes a token of a layer at work were measured with a model of 0.3 billion parameters on a CPU.
        """
        arch, value = self.arch, 2 if self.sharded or settings["lora"] else 4
        kept = value * arch.layers * arch.hidden * tokens
        at_work = tokens * (40 * arch.hidden + 12 * arch.intermediate)
        logits = 16 * min(tokens, BLOCK) * arch.vocabulary
        seen = 4 * self.picture * pictures * (40 * arch.vision_hidden + 12 * arch.vision_intermediate)
        return kept + at_work + logits + seen

    def held(self, engine: float, wanted: int, tokens: int) -> int:
        """Answers of so many tokens, prompts included, that an engine's cache holds at once, up to those wanted."""
        arch = self.arch
        work = 6 * READ * (arch.hidden + arch.intermediate) + 8 * wanted * arch.vocabulary + ASLEEP
        return min(wanted, int(max(0, engine - 2 * arch.parameters - work) // (arch.cache_bytes * tokens)))

    def host(self, settings: dict[str, Any]) -> float:
        """Bytes a node: every process loads the weights, and the reference, before they are on its GPU."""
        loaded = 2 if settings["lora"] else 6 if settings.get("beta") else 4
        return self.hardware.gpus * (loaded * self.arch.parameters + PROCESS)

    def saved(self, settings: dict[str, Any], checkpoints: int) -> float:
        """Bytes of the checkpoints, in bfloat16, and while it trains of the one to resume from, with its moments."""
        whole = 0 if settings["lora"] else 4 * self.arch.parameters
        return 2 * self.arch.parameters * checkpoints + whole + 12 * self.trained(settings)

    # Time, in seconds of one GPU

    def forward(self, tokens: float) -> float:
        """Operations of one forward pass over a sequence: two a parameter and token, and causal attention."""
        return 2 * self.arch.language * tokens + 2 * self.arch.layers * self.arch.hidden * tokens**2

    def writing(self, questions: float, samples: int, tokens: float) -> float:
        """To read questions and write so many samples of each."""
        written = self.forward(PROMPT + tokens) - self.forward(PROMPT)
        work = questions * (self.forward(PROMPT) + samples * written)
        return work / (1e12 * self.hardware.tflops * self.hardware.generation)

    def training(self, rows: float, passes: float, tokens: float, micro: float) -> float:
        """For passes over rows; sharded, it takes at least as long as the layers take to come from the other GPUs."""
        work = rows * passes * self.forward(tokens) / (1e12 * self.hardware.tflops * self.hardware.utilisation)
        return max(work, rows / micro * passes * 2 * self.arch.language / LINK) if self.sharded else work

    def update_passes(self, settings: dict[str, Any]) -> int:
        """Forward, again for layers that are checkpointed, and back; twice back where the weights are trained."""
        return 3 if settings["lora"] else 4

    def answers(self, node: Stage) -> int:
        rounds = checkpoints(node) if node.kind == "select" else 1
        return count(self.params, node) * node.params["samples"] * rounds


def checkpoints(node: Stage) -> int:
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
