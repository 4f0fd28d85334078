"""What a params file may hold: its sections, each a typed schema that refuses unknown keys, and the whole."""

import difflib
from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Bounds = tuple[float, float]  # lowest and highest
Rate = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _only_numbers_for_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """pydantic reads true as 1 and "10" as 10."""
        kind, values = cls.model_fields[info.field_name].annotation, value if isinstance(value, list) else [value]
        if kind is not bool and any(isinstance(v, bool) for v in values):
            raise ValueError(f"true and false are no {'numbers' if _numbers_alone(kind) else 'value of it'}")
        if _numbers_alone(kind) and any(isinstance(v, str) for v in values):
            raise ValueError(f"{value!r} is a text and should be a number, without quotes (1.0e-5, for YAML, not 1e-5)")
        return value


def _numbers_alone(kind: Any) -> bool:
    """Whether an annotation is a number, or a list of numbers, beside None perhaps."""
    inner = [part for part in get_args(kind) if part is not type(None)]
    if get_origin(kind) is Annotated:
        inner = inner[:1]
    return kind in (int, float) or (get_origin(kind) is not dict and bool(inner) and all(map(_numbers_alone, inner)))


def _apart(values: list) -> list:
    if len(set(values)) < len(values):
        raise ValueError(f"{values} names {next(v for v in values if values.count(v) > 1)!r} twice")
    return values


Apart = AfterValidator(_apart)  # of a list: nothing twice


class HubSet(Section):
    """A dataset: `name` is a folder or file, or a dataset of the hub, whose `revision` is then a commit.

    `level_column` names the column with the published difficulty level, "" for none; None takes one with "difficulty"
    in its name and levels from 1 to 5 in all rows, if there is one. `columns` maps the columns that we expect to what
    the dataset calls them, where that differs.
    """

    name: str = Field(min_length=1)
    revision: str | None = None
    split: str = Field(min_length=1)
    config: str | None = None
    level_column: str | None = None
    columns: dict[str, str] = {}


class Model(Section):
    """`path` is a folder of the project or a hub name; `revision` is for the hub only.

    Pictures are shown with at most `max_pixels`; a model whose own processor shows fewer keeps to these.
    """

    path: str
    revision: str | None = None
    dtype: Literal["float32", "bfloat16"]
    max_pixels: Count = 1280 * 28 * 28


class Data(Section):
    """Sizes are None where a hub dataset is taken whole; `validation` and `test` count per benchmark.

    `unreadable` is the share of a published dataset's rows that may be left out because they cannot be read.
    """

    seed: int
    benchmarks: dict[str, HubSet | None]
    training: Annotated[list[str], Apart] = Field(min_length=1)
    train: Count | None
    text_traces: Count
    slips: float = Field(
        default=0.0, ge=0, le=1
    )  # share of the careful teacher's traces with a slip, masked in the loss
    validation: Count
    test: Count | None
    unreadable: Share = 0.005
    hub: dict[Literal["queries", "validation", "rambling", "careful"], HubSet] = {}

    @property
    def published(self) -> bool:
        """Whether the questions are published datasets, and not the mini world's."""
        return bool(self.hub) or any(self.benchmarks.values())


class Sampling(Section):
    """Evaluation sampling (paper, Protocol); `base` is the size of each of the two base sets A and B.

    `divergence` counts the questions a benchmark on which the token-level KL is taken (paper 2.3).
    """

    base: Count
    arm: Count
    validation: Count
    divergence: Count
    temperature: float = Field(gt=0)
    top_p: float = Field(gt=0, le=1)
    top_k: Count
    max_new_tokens: Count


class Engine(Section):
    name: Literal["hf", "vllm"]
    batch_size: Count


class Lora(Section):
    r: Count
    alpha: Count
    dropout: Share = 0.0


class Judge(Section):
    """A model that decides what the rules leave unparsed, behind an OpenAI-compatible endpoint (Protocol).

    It also judges `audit` responses a stage that the rules have decided, to say how far the two agree. `at_once` are
    asked side by side. A key is read from the environment variable JUDGE_API_KEY.
    """

    base_url: str
    model: str
    audit: int = Field(ge=0)
    at_once: Count


class Launch(Section):
    """How training is started: by `accelerate launch`, one process for each GPU of `hardware`; CPU processes where
    there is no GPU. What is chosen here changes speed and memory, not what is computed.

    `sharding` fsdp2 splits weights, gradients and moments over all processes, none keeps them whole in each.
    `rollouts` of RL come from our own decoding loop (CPU only), or from vLLM beside the trainer (colocate, with the
    share `engine_memory` of a GPU). Every `checkpoint_minutes` it saves what it needs to go on. `report_to` names the
    tracker that follows the log.
    """

    sharding: Literal["fsdp2", "none"]
    gradient_checkpointing: bool
    rollouts: Literal["decoded", "colocate"]
    engine_memory: Rate = 0.6
    checkpoint_minutes: float = Field(gt=0)
    report_to: Literal["none", "tensorboard", "wandb", "trackio"] = "none"


class Sft(Section):
    """Long-CoT SFT (paper 2.1). `warmup` is a share of all steps; the schedule is cosine.

    `loss` is a mean over the tokens of a batch, so that a long trace weighs more, or over its traces. Gradients are
    clipped to the norm `max_grad_norm`.
    """

    lr: Rate
    batch_size: Count
    micro_batch: Count
    epochs: Count
    loss: Literal["token", "trace"] = "token"
    warmup: Share
    max_grad_norm: float = Field(default=1.0, gt=0)
    dtype: Literal["float32", "bfloat16"]
    lora: Lora | None

    @model_validator(mode="after")
    def _divisible(self) -> "Sft":
        if self.batch_size % self.micro_batch:
            raise ValueError(f"batch_size {self.batch_size} does not divide into micro_batch {self.micro_batch}")
        return self


class Rl(Section):
    """GRPO (paper 2.2). A batch of `prompts_per_step` is used in `mini_batches` optimizer steps.

    `steps` counts batches (rollout phases); a checkpoint is kept every `checkpoint_every` of them. Gradients are
    clipped to the norm `max_grad_norm`.
    """

    lr: Rate
    prompts_per_step: Count
    mini_batches: Count
    micro_batch: Count
    rollouts: int = Field(ge=2)
    beta: float = Field(ge=0)
    epsilon: Rate
    temperature: float = Field(gt=0)
    max_new_tokens: Count
    steps: Count
    checkpoint_every: Count
    warmup: Share
    max_grad_norm: float = Field(default=1.0, gt=0)
    dtype: Literal["float32", "bfloat16"]
    lora: Lora | None

    @model_validator(mode="after")
    def _divisible(self) -> "Rl":
        if self.prompts_per_step % self.mini_batches:
            raise ValueError(
                f"prompts_per_step {self.prompts_per_step} does not divide into mini_batches {self.mini_batches}"
            )
        mini_batch = self.prompts_per_step * self.rollouts // self.mini_batches
        if mini_batch % self.micro_batch:
            raise ValueError(
                f"a mini-batch of {mini_batch} rollouts does not divide into micro_batch {self.micro_batch}"
            )
        return self


class Distill(Section):
    """Eureka-Distill: `responses` a query, the shortest correct one kept.

    `seed` names the seed whose careful model writes the set, which all seeds then share, as the paper's
    is one fixed set; None makes one a seed.
    """

    responses: Count
    temperature: float = Field(gt=0)
    seed: int | None


class Interleaved(Section):
    """Interleaved SFT and RL (paper 3): `weight` of the SFT loss, on failed questions or `everywhere`."""

    weight: float = Field(ge=0)
    everywhere: bool


class Progressive(Section):
    """Progressive SFT to RL (paper 3): `weight` of the loss on the prefix, gone after `until` of the steps."""

    weight: float = Field(ge=0)
    until: float = Field(gt=0, le=1)


class Mixing(Section):
    """Data mixing (paper 3): `responses` a query of the model `arm`, the correct ones kept."""

    arm: str
    responses: Count
    temperature: float = Field(gt=0)


class Merging(Section):
    """Model merging (paper 3): every method at every SFT share, the best on validation chosen.

    The shares 0 and 1 are the parents, the arms `sft` and `rl`. `density` is for TIES.
    """

    sft: str
    rl: str
    methods: list[Literal["linear", "ties", "slerp"]] = Field(min_length=1)
    shares: list[Rate] = Field(min_length=1)
    density: float = Field(gt=0, le=1)

    @model_validator(mode="after")
    def _two_parents(self) -> "Merging":
        if self.sft == self.rl:
            raise ValueError(f"both parents, sft and rl, are {self.sft!r}: there is nothing to merge")
        return self


class Gate(Section):
    """What base and parents must satisfy before a combination says anything (analysis.gate), in points or %.

    `prompts` are what the base is asked besides the question, one after the other; the best of them on validation is
    the arm base_prompted.
    """

    prompts: list[str] = Field(min_length=1)
    strategy: float  # G1: the most that another strategy may be ahead within a question,
    strategy_share: Share  # if at least this share of the answers takes it
    prompt: float  # G2: the most that a prompt may gain
    instructed: float  # G3: the most that the instruction may change, on any benchmark
    short_steps: float  # G3: the least share of answers in short steps
    pass_hardest: Bounds  # G4: pass@16 at L5
    pass_more: float  # G4: pass@16 minus pass@1 at L2 to L4
    groups: float  # G4: groups of rollouts with some right and some wrong
    letters: float  # G5: letters that are those of the value said
    levels: float  # G6: rank correlation of steps needed with pass rate, at most
    skill: float  # G7: share of the long way in samples of base and RL, less than
    skill_gain: float  # G8: SFT minus base on L4 and L5
    converged: float  # G9, G10: the most that the last stretch of training may add
    traces_right: float  # G9: steps of the training traces that are right
    steps_right: float  # G9: steps of SFT's own answers that are right
    rl_gain: Bounds  # G11: RL minus base
    rl_length: Bounds  # G11: times as long as the base
    dilemma: float  # G12: SFT behind RL at L1, and ahead at L5
    benchmarks: int  # G12: benchmarks that show both
    router: float  # G13: oracle router minus the better parent


class Hardware(Section):
    """What a plan of GPUs is reckoned for: `gpus` a node, their memory, and how much of their peak is reached.

    `tflops` is the dense bf16 peak of one GPU, `utilisation` the share of it that training reaches and
    `generation` the share that sampling reaches. `host_gib` is the memory of a node beside its GPUs, where it counts.
    """

    nodes: Count
    gpus: Count
    memory_gib: float = Field(gt=0)
    tflops: float = Field(gt=0)
    utilisation: Rate
    generation: Rate
    disk_tib: float = Field(gt=0)
    host_gib: float | None = Field(default=None, gt=0)


# The sections that each method reads; an arm names only what it changes of them.
METHODS = {
    "sft": ("sft",),
    "grpo": ("rl",),
    "interleaved": ("rl", "interleaved"),
    "progressive": ("rl", "progressive"),
    "merging": ("merging",),
}


class Arm(Section):
    """How a model is trained: the method, its data, and the arm (or `base`) that it starts from."""

    method: Literal["sft", "grpo", "interleaved", "progressive", "merging"]
    data: Literal["rambling", "careful", "eureka", "eureka_no_easy", "mixed"] | None = None
    start: str = "base"
    sft: Sft | None = None
    rl: Rl | None = None
    interleaved: Interleaved | None = None
    progressive: Progressive | None = None
    merging: Merging | None = None

    @model_validator(mode="before")
    @classmethod
    def _reads(cls, raw: Any) -> Any:
        method = raw.get("method") if isinstance(raw, dict) else None
        for name in sorted({name for names in METHODS.values() for name in names} if method in METHODS else ()):
            if raw.get(name) is not None and name not in METHODS[method]:
                known = ", ".join(METHODS[method])
                raise ValueError(f"the method {method!r} does not read the section {name!r}, but: {known}")
        return raw

    @model_validator(mode="after")
    def _starts(self) -> "Arm":
        if self.method == "merging" and (self.data or self.start != "base"):
            raise ValueError("merging has parents (merging.sft, merging.rl), and neither 'data' nor 'start'")
        if self.method != "merging" and self.data is None:
            raise ValueError(f"the method {self.method!r} needs 'data'")
        return self


class Params(Section):
    scale: str
    model: Model
    data: Data
    sampling: Sampling
    engine: Engine
    sft: Sft
    rl: Rl
    distill: Distill
    interleaved: Interleaved
    progressive: Progressive
    mixing: Mixing
    merging: Merging
    gate: Gate | None = None
    judge: Judge | None = None
    hardware: Hardware | None = None
    launch: Launch | None = None
    released: dict[str, Model] = {}
    arms: dict[str, Arm]
    seeds: Annotated[list[Count], Apart] = Field(min_length=1)
    first_seed_only: list[str] = []

    @model_validator(mode="before")
    @classmethod
    def _fill_arms(cls, raw: Any) -> Any:
        """Fills each arm with its method's sections, of which it lists what it overrides."""
        if not isinstance(raw, dict) or not isinstance(raw.get("arms"), dict):
            return raw
        return {**raw, "arms": {name: _filled(arm, raw) for name, arm in raw["arms"].items()}}

    @model_validator(mode="after")
    def _launched_on_something(self) -> "Params":
        if self.launch and not self.hardware:
            raise ValueError("launch needs the section hardware, which says on how many GPUs")
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> "Params":
        for key, names, known in (
            ("data.training", self.data.training, list(self.data.benchmarks)),
            ("first_seed_only", self.first_seed_only, list(self.arms)),
            ("released", list(self.released), list(self.arms)),
        ):
            for name in names:
                if name not in known:
                    raise ValueError(f"{key} names {name!r}, which is not there{nearest(name, known)}")
        for arm in self.arms:
            self._follow(arm, [])
        if any(self._distilled(arm) for arm in self.arms) and "sft_careful" not in self.arms:
            raise ValueError("the data source 'eureka' is written by the arm 'sft_careful', which is missing")
        if "sft_careful" in self.arms and self._distilled("sft_careful"):
            raise ValueError("the arm 'sft_careful' writes the data source 'eureka' and so cannot need it")
        return self

    def parents(self, arm: str) -> dict[str, str]:
        """The arms that an arm needs, by the role in which it names them; the base is none."""
        wanted = self.arms[arm]
        roles = {"starts from": wanted.start}
        if wanted.data == "mixed":
            roles["mixes answers of"] = self.mixing.arm
        if wanted.merging:
            roles |= {"merges, as SFT model,": wanted.merging.sft, "merges, as RL model,": wanted.merging.rl}
        return {role: parent for role, parent in roles.items() if parent != "base"}

    def _distilled(self, arm: str) -> bool:
        """Whether an arm, or what it needs, is trained on Eureka-Distill."""
        own = self.arms[arm].data in ("eureka", "eureka_no_easy", "mixed")
        return own or any(self._distilled(parent) for parent in self.parents(arm).values())

    def _follow(self, arm: str, path: list[str]) -> None:
        if arm in path:
            raise ValueError(f"arms start from each other in a circle: {' -> '.join([*path, arm])}")
        for role, parent in self.parents(arm).items():
            if parent not in self.arms:
                raise ValueError(f"arms.{arm} {role} {parent!r}, which is no arm{nearest(parent, self.arms)}")
            self._follow(parent, [*path, arm])


def _filled(arm: Any, raw: dict) -> Any:
    if not isinstance(arm, dict):
        return arm
    names = [name for name in METHODS.get(arm.get("method", ""), ()) if isinstance(raw.get(name), dict)]
    return {**arm, **{name: {**raw[name], **(arm.get(name) or {})} for name in names}}


def nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
