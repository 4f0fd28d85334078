"""What runs: one typed schema for every file in `params/`, unknown keys refused."""

import difflib
import types
import typing
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from studylib.errors import StudyError

PARAMS_DIR = Path(__file__).resolve().parent.parent / "params"

Share = typing.Annotated[float, Field(ge=0, le=1)]
Count = typing.Annotated[int, Field(ge=1)]
Rate = typing.Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HubSet(Section):
    """A dataset: `name` is a folder or file, or a dataset of the hub, whose `revision` is then a commit.

    `level_column` names the column with the published difficulty level ("": there is none); `columns` maps the
    columns that we expect to what the dataset calls them, where that differs.
    """

    name: str
    revision: str | None = None
    split: str
    config: str | None = None
    level_column: str | None = None
    columns: dict[str, str] = {}


class Model(Section):
    """`path` is a folder of the project or a hub name; `revision` is for the hub only."""

    path: str
    revision: str | None = None
    dtype: Literal["float32", "bfloat16"]


class Data(Section):
    """Sizes are None where a hub dataset is taken whole; `validation` and `test` count per benchmark."""

    seed: int
    benchmarks: dict[str, HubSet | None]
    training: list[str] = Field(min_length=1)
    train: Count | None
    text_traces: Count
    validation: Count
    test: Count | None
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


class Sft(Section):
    """Long-CoT SFT (paper 2.1). `warmup` is a share of all steps; the schedule is cosine."""

    lr: Rate
    batch_size: Count
    micro_batch: Count
    epochs: Count
    warmup: Share
    dtype: Literal["float32", "bfloat16"]
    lora: Lora | None

    @model_validator(mode="after")
    def _divisible(self) -> "Sft":
        if self.batch_size % self.micro_batch:
            raise ValueError(f"batch_size {self.batch_size} does not divide into micro_batch {self.micro_batch}")
        return self


class Rl(Section):
    """GRPO (paper 2.2). A batch of `prompts_per_step` is used in `mini_batches` optimizer steps.

    `steps` counts batches (rollout phases); a checkpoint is kept every `checkpoint_every` of them.
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
    dtype: Literal["float32", "bfloat16"]
    lora: Lora | None

    @model_validator(mode="after")
    def _divisible(self) -> "Rl":
        if self.prompts_per_step % self.mini_batches:
            told = f"prompts_per_step {self.prompts_per_step} does not divide"
            raise ValueError(f"{told} into mini_batches {self.mini_batches}")
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


class ArmStage(Section):
    """One stage of an arm. `start` is `base` or an arm; a later stage starts from the one before it."""

    method: Literal["sft", "grpo"]
    data: Literal["rambling", "careful", "eureka", "eureka_no_easy"]
    start: str = "base"
    sft: Sft | None = None
    rl: Rl | None = None


class Params(Section):
    scale: str
    model: Model
    data: Data
    sampling: Sampling
    engine: Engine
    sft: Sft
    rl: Rl
    distill: Distill
    arms: dict[str, list[ArmStage]]
    seeds: list[int] = Field(min_length=1)
    first_seed_only: list[str] = []

    @model_validator(mode="before")
    @classmethod
    def _fill_stages(cls, raw: Any) -> Any:
        """A stage names only what it changes of `sft` or `rl`; the rest comes from the section itself."""
        if not isinstance(raw, dict) or not isinstance(raw.get("arms"), dict):
            return raw
        arms = {}
        for arm, stages in raw["arms"].items():
            arms[arm] = stages
            if isinstance(stages, list) and all(isinstance(stage, dict) for stage in stages):
                arms[arm] = [_filled(stage, raw) for stage in stages]
        return {**raw, "arms": arms}

    @model_validator(mode="after")
    def _names_exist(self) -> "Params":
        for key, names, known in (
            ("data.training", self.data.training, list(self.data.benchmarks)),
            ("first_seed_only", self.first_seed_only, list(self.arms)),
        ):
            for name in names:
                if name not in known:
                    raise ValueError(f"{key} names {name!r}, which is not there{nearest(name, known)}")
        for arm, stages in self.arms.items():
            if not stages:
                raise ValueError(f"arms.{arm} has no stage")
            self._follow(arm, [])
        if any(self._distilled(arm) for arm in self.arms) and "sft_careful" not in self.arms:
            raise ValueError("the data source 'eureka' is written by the arm 'sft_careful', which is missing")
        if "sft_careful" in self.arms and self._distilled("sft_careful"):
            raise ValueError("the arm 'sft_careful' writes the data source 'eureka' and so cannot need it")
        return self

    def _distilled(self, arm: str) -> bool:
        """Whether an arm, or what it starts from, is trained on Eureka-Distill."""
        start = self.arms[arm][0].start
        own = any(stage.data in ("eureka", "eureka_no_easy") for stage in self.arms[arm])
        return own or (start != "base" and self._distilled(start))

    def _follow(self, arm: str, path: list[str]) -> None:
        if arm in path:
            raise ValueError(f"arms start from each other in a circle: {' -> '.join([*path, arm])}")
        start = self.arms[arm][0].start
        if start == "base":
            return
        if start not in self.arms:
            raise ValueError(f"arms.{arm} starts from {start!r}, which is no arm{nearest(start, self.arms)}")
        self._follow(start, [*path, arm])


def _filled(stage: dict, raw: dict) -> dict:
    section = {"sft": "sft", "grpo": "rl"}.get(stage.get("method", ""))
    if section is None or not isinstance(raw.get(section), dict):
        return stage
    return {**stage, section: {**raw[section], **(stage.get(section) or {})}}


def nearest(name: str, known: typing.Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def _fields_at(loc: tuple) -> list[str]:
    """The keys that the schema knows at the place of an error."""
    kind: Any = Params
    for part in loc:
        section = _section(kind)
        if section:
            kind = section.model_fields[part].annotation
        else:  # a list index, or the name of a benchmark or arm
            kind = typing.get_args(kind)[-1]
    return list(_section(kind).model_fields)


def _section(kind: Any) -> type[Section] | None:
    """The schema that an annotation names, itself or beside None."""
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else [kind]
    return next((o for o in options if isinstance(o, type) and issubclass(o, Section)), None)


def _sentence(error: dict) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown key {place!r}{nearest(str(error['loc'][-1]), _fields_at(error['loc'][:-1]))}"
    if error["type"] == "missing":
        return f"key {place!r} is missing"
    if error["type"] == "value_error":
        return f"{place + ': ' if place else ''}{error['ctx']['error']}"
    said = error["msg"].replace("Input should", "it should")
    return f"{place!r} is {error['input']!r}, but {said[0].lower() + said[1:]}"


def load_params(scale: str, overrides: dict[str, Any] | None = None) -> Params:
    """The parameters of `params/<scale>.yaml`, with `overrides` by dotted key (`{"rl.steps": 4}`).

    Raises StudyError naming the file, the key, and the nearest known key.
    """
    path = PARAMS_DIR / f"{scale}.yaml"
    if not path.exists():
        known = sorted(p.stem for p in PARAMS_DIR.glob("*.yaml"))
        raise StudyError(f"There is no params/{scale}.yaml{nearest(scale, known)}.")
    where = f"params/{path.name}"
    try:
        raw = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise StudyError(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise StudyError(f"{where} is empty or not a mapping of keys to values.")
    for key, value in (overrides or {}).items():
        _set(raw, key, value)
    return parse_params(raw, where + (f" with {', '.join(overrides)} overridden" if overrides else ""))


def parse_params(raw: dict[str, Any], where: str) -> Params:
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise StudyError(f"{where}: {_sentence(error.errors()[0])}.") from None


def _set(raw: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for depth, part in enumerate(parents):
        raw = raw.setdefault(part, {})
        if not isinstance(raw, dict):
            raise StudyError(f"Override {key!r}: {'.'.join(parents[: depth + 1])!r} is not a section.")
    raw[last] = value
