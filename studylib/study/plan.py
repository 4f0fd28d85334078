"""The plan: every stage of the study for one seed, built from the params alone."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from studylib.data.hub import identity
from studylib.engine.models import base_name
from studylib.errors import StudyError
from studylib.params.load import Params
from studylib.params.schema import METHODS, ArmStage, Data, Gate
from studylib.paths import ROOT
from studylib.stages.kinds import KINDS
from studylib.store.identity import Stage, file_hash

# Each set of base samples is drawn with a seed of its own: A tags the levels, every gain is taken against B.
BASE_SETS = {
    "base_a": (101, "test", False),
    "base": (102, "test", False),
    "base_instructed": (103, "test", True),
    "base_validation": (106, "validation", False),
}
PROMPT_DRAWS = 110  # and on: the prompts on validation, one after the other
PARENTS = ("sft_eureka", "rl")  # of every combination
# What a stage's function calls only where the params name it; else its code does not count.
ENGINES = {"hf": "studylib.engine.generate:_hugging_face", "vllm": "studylib.engine.generate:_vllm"}
JUDGE = "studylib.grading.judged:judged"


def build_plan(params: Params, seed: int) -> dict[str, Stage]:
    """All stages by name, inputs before what needs them.

    `<arm>` trains, `<arm>.select` chooses its checkpoint on validation, `<arm>.responses` and `<arm>.grades`
    are its test results, `<arm>.divergence` its token-level KL to the base. `prompt.<n>` is the base with one of the
    gate's prompts on validation, `base_prompted` with the best of them on test, `gate` the first seed's gate table.
    Stages without a seed of their own are shared by all seeds.
    """
    builder = _Builder(params, seed)
    for split in ("train", "validation", "test"):
        asked = {"split": split, "data": data_of(params.data, split)}
        builder.add(f"questions.{split}", builder.source("questions"), asked)
    for name in BASE_SETS:
        builder.base_set(name)
    builder.levels("levels", "base_a", "test")
    builder.levels("levels.validation", "base_validation", "validation")
    if params.gate:
        builder.prompted(params.gate.prompts)
    builder.add("base.select", "select", builder.validation("base", 104), builder.asked("validation", "base"))
    for arm in params.arms:
        if seed == params.seeds[0] or arm not in params.first_seed_only:
            builder.arm(arm)
    if params.gate and seed == params.seeds[0] and set(PARENTS) <= set(params.arms):
        builder.gate(params.gate)
    return builder.plan


def data_of(data: Data, name: str) -> dict[str, Any]:
    """What a split's questions or a kind of traces rest on: the datasets that are read for them and how many rows are
    taken. The mini world draws one split after another, so each rests on all sizes."""
    if not data.published:
        return data.model_dump()
    if name == "test":
        return {"seed": data.seed, "unreadable": data.unreadable, "test": data.test} | {
            "sets": {benchmark: identity(spec) for benchmark, spec in data.benchmarks.items()}
        }
    apart = "validation" in data.hub
    source = "queries" if name == "train" or (name == "validation" and not apart) else name
    sizes = {"validation": ["validation"], "train": ["train"] if apart else ["train", "validation"]}
    taken = {key: getattr(data, key) for key in ["seed", "unreadable", *sizes.get(name, ["text_traces"])]}
    return taken | {"sets": {source: identity(data.hub.get(source))}}


class _Builder:
    def __init__(self, params: Params, seed: int):
        self.params, self.seed = params, seed
        self.plan: dict[str, Stage] = {}
        self.base = {"base": base_identity(params), "max_pixels": params.model.max_pixels}
        self.engine = params.engine.model_dump()
        self.judge = {"judge": params.judge.model_dump(exclude={"base_url", "at_once"})} if params.judge else {}
        self.unused = tuple(ENGINES[name] for name in ENGINES if name != params.engine.name)
        self.unused += () if params.judge else (JUDGE,)
        self.evaluation = params.sampling.model_dump(include={"temperature", "top_p", "top_k", "max_new_tokens"})

    def add(
        self,
        name: str,
        kind: str,
        asked: dict[str, Any],
        inputs: dict[str, Stage] | None = None,
        seed: int | None = None,
    ) -> Stage:
        function = KINDS[kind]
        code = (f"{function.__module__}:{function.__name__}",)
        self.plan[name] = Stage(name, kind, asked, inputs or {}, code, seed, self.unused)
        return self.plan[name]

    def source(self, kind: str) -> str:
        """Where questions come from: a kind of its own, so that the hub's code does not count for the mini world."""
        return f"hub_{kind}" if self.params.data.published else kind

    def asked(self, split: str, start: str) -> dict[str, Stage]:
        """Inputs of a stage that shows one split to the model `start`."""
        return {"questions": self.plan[f"questions.{split}"], **self.model(start)}

    def model(self, start: str) -> dict[str, Stage]:
        if start == "base":
            return {}
        return {"model": self.plan[start], "select": self.plan[f"{start}.select"]}

    def sampled(
        self,
        name: str,
        arm: str,
        split: str,
        start: str,
        *,
        instruct: bool,
        samples: int,
        draw: int,
        sampling: dict[str, Any],
        seed: int | None,
        prompt: str | Stage = "",
    ) -> None:
        """Two stages: `<name>.responses` and, apart from it, `<name>.grades`. prompt: what stands below each question,
        or the stage that chooses it."""
        asked = {
            "arm": arm,
            "instruct": instruct,
            "samples": samples,
            "sampling": sampling,
            "seed": draw,
            "engine": self.engine,
            **self.base,
        }
        shown = self.asked(split, start)
        if isinstance(prompt, Stage):
            shown["prompt"] = prompt
        elif prompt:
            asked["prompt"] = prompt
        told = self.add(f"{name}.responses", "sample", asked, shown, seed)
        inputs = {"responses": told, "questions": self.plan[f"questions.{split}"]}
        self.add(f"{name}.grades", "grade", self.judge, inputs, seed)

    def base_set(self, name: str) -> None:
        draw, split, instruct = BASE_SETS[name]
        samples = self.params.sampling.arm if instruct else self.params.sampling.base
        self.sampled(
            name,
            name,
            split,
            "base",
            instruct=instruct,
            samples=samples,
            draw=draw,
            sampling=self.evaluation,
            seed=None,
        )

    def levels(self, name: str, base_set: str, split: str) -> None:
        self.add(name, "levels", {}, {**self.graded(base_set), "questions": self.plan[f"questions.{split}"]})

    def graded(self, name: str) -> dict[str, Stage]:
        return {part: self.plan[f"{name}.{part}"] for part in ("responses", "grades")}

    def prompted(self, prompts: list[str]) -> None:
        """The base with each prompt on validation, and with the best of them on test, as the arms are tested."""
        sampling = self.params.sampling
        shared: dict[str, Any] = {"instruct": False, "sampling": self.evaluation, "seed": None}
        for n, prompt in enumerate(prompts):
            wanted = {"samples": sampling.validation, "draw": PROMPT_DRAWS + n, "prompt": prompt, **shared}
            self.sampled(f"prompt.{n}", "base_prompted", "validation", "base", **wanted)
        grades = {str(n): self.plan[f"prompt.{n}.grades"] for n in range(len(prompts))}
        best = self.add("base_prompted.select", "select_prompt", {"prompts": prompts}, grades)
        wanted = {"samples": sampling.arm, "draw": 107, "prompt": best, **shared}
        self.sampled("base_prompted", "base_prompted", "test", "base", **wanted)

    def gate(self, gate: Gate) -> None:
        """The table of the gate, from the base and the first seed's parents alone."""
        self.base_train()
        names = {"base": "base", "instructed": "base_instructed", "train": "base_train", "plain": "base_validation"}
        names |= {f"prompt.{n}": f"prompt.{n}" for n in range(len(gate.prompts))}
        names |= {"sft": PARENTS[0], "rl": PARENTS[1]}
        inputs = {f"questions.{split}": self.plan[f"questions.{split}"] for split in ("train", "validation", "test")}
        for role, name in names.items():
            inputs |= {f"{role}.{part}": stage for part, stage in self.graded(name).items()}
        inputs |= {f"{role}.select": self.plan[f"{names[role]}.select"] for role in ("sft", "rl")}
        inputs |= {"levels": self.plan["levels"], "traces": self.data("eureka")}
        self.add("gate", "gate", {"gate": gate.model_dump()}, inputs, self.seed)

    def validation(self, arm: str, draw: int) -> dict[str, Any]:
        return {
            "arm": arm,
            "instruct": True,
            "samples": self.params.sampling.validation,
            "sampling": self.evaluation,
            "seed": draw,
            "engine": self.engine,
            **self.judge,
            **self.base,
        }

    def arm(self, arm: str) -> None:
        """The arm's stages in turn, each with its selection, then its test results. Made once."""
        if arm in self.plan:
            return
        stages = self.params.arms[arm]
        for parent in self.params.parents(arm).values():
            self.arm(parent)
        start = stages[0].start
        for number, stage in enumerate(stages, 1):
            name = arm if number == len(stages) else f"{arm}.{number}"
            self.train(name, stage, start)
            validated = {"questions": self.plan["questions.validation"], "model": self.plan[name]}
            self.add(f"{name}.select", "select", self.validation(arm, self.seed), validated, self.seed)
            start = name
        self.sampled(
            arm,
            arm,
            "test",
            arm,
            instruct=True,
            samples=self.params.sampling.arm,
            draw=self.seed,
            sampling=self.evaluation,
            seed=self.seed,
        )
        inputs = {"responses": self.plan[f"{arm}.responses"], **self.asked("test", arm)}
        asked = {"questions": self.params.sampling.divergence, **self.base}
        self.add(f"{arm}.divergence", "divergence", asked, inputs, self.seed)

    def train(self, name: str, stage: ArmStage, start: str) -> None:
        asked = {section: getattr(stage, section).model_dump() for section in METHODS[stage.method]}
        if stage.method == "merging":
            parents = {"sft": stage.merging.sft, "rl": stage.merging.rl}
            inputs = {role: self.plan[parent] for role, parent in parents.items()}
            inputs |= {f"{role}_select": self.plan[f"{parent}.select"] for role, parent in parents.items()}
        else:
            inputs = {"data": self.data(stage.data), **self.model(start)}
        if self.params.launch and "rl" in asked:
            asked["rollouts"] = self.params.launch.rollouts
        if stage.method == "progressive":
            inputs["grades"] = self.base_train()
        self.add(name, stage.method, {**asked, **self.base}, inputs, self.seed)

    def data(self, source: str) -> Stage:
        if source in self.plan:
            return self.plan[source]
        if source in ("rambling", "careful"):
            name = f"traces.{source}"
            asked = {"manner": source, "data": data_of(self.params.data, source)}
            return self.plan.get(name) or self.add(name, self.source("traces"), asked)
        return {"eureka": self.eureka, "eureka_no_easy": self.eureka_no_easy, "mixed": self.mixed}[source]()

    def answers(self, name: str, arm: str, responses: int, temperature: float) -> dict[str, Stage]:
        """An arm's graded answers to the training queries, with the queries: what a data set is made from."""
        self.sampled(
            name,
            arm,
            "train",
            arm,
            instruct=True,
            samples=responses,
            draw=self.seed,
            sampling={**self.evaluation, "temperature": temperature},
            seed=self.seed,
        )
        made = {role: self.plan[f"{name}.{role}"] for role in ("responses", "grades")}
        return {**made, "questions": self.plan["questions.train"]}

    def eureka(self) -> Stage:
        """The distilled set of this seed, or of the one seed that all share (`distill.seed`)."""
        wanted = self.params.distill
        if wanted.seed not in (None, self.seed):
            other = _Builder(self.params, wanted.seed)
            other.plan.update(
                {name: self.plan[name] for name in ("questions.train", "questions.validation", "questions.test")}
            )
            self.plan["eureka"] = other.eureka()
            return self.plan["eureka"]
        self.arm("sft_careful")
        inputs = self.answers("eureka", "sft_careful", wanted.responses, wanted.temperature)
        return self.add("eureka", "distill", {}, inputs, self.seed)

    def eureka_no_easy(self) -> Stage:
        """Easy is what the base, sampled as in RL, solves in every rollout: there the advantage is zero."""
        data = self.data("eureka")
        return self.add("eureka_no_easy", "no_easy", {}, {"data": data, "grades": self.base_train()}, data.seed)

    def base_train(self) -> Stage:
        """Grades of the base on the queries, sampled as in RL: the pass rates that are fixed beforehand."""
        if "base_train.grades" not in self.plan:
            rl = self.params.rl
            sampling = {
                "temperature": rl.temperature,
                "top_p": 1.0,
                "top_k": 0,
                "max_new_tokens": rl.max_new_tokens,
            }
            self.sampled(
                "base_train",
                "base",
                "train",
                "base",
                instruct=True,
                samples=rl.rollouts,
                draw=105,
                sampling=sampling,
                seed=None,
            )
        return self.plan["base_train.grades"]

    def mixed(self) -> Stage:
        """The RL model's correct answers to the queries, and traces where it has none (paper 3, data mixing)."""
        wanted, eureka = self.params.mixing, self.data("eureka")
        inputs = self.answers("mixed", wanted.arm, wanted.responses, wanted.temperature) | {
            "traces": eureka.inputs["responses"],
            "trace_grades": eureka.inputs["grades"],
        }
        return self.add("mixed", "mix", {}, inputs, self.seed)


def ancestors(stage: Stage) -> list[Stage]:
    """The stage and all that it needs, inputs first, each once."""
    found: dict[str, Stage] = {}

    def visit(node: Stage) -> None:
        for source in node.inputs.values():
            visit(source)
        found.setdefault(node.identity, node)

    visit(stage)
    return list(found.values())


def base_identity(params: Params) -> str:
    """What the base is: the hash of its files, or its name and revision on the hub."""
    path = base_name(params)
    if not isinstance(path, Path):
        if params.model.revision is None:
            raise StudyError(
                f"The model {params.model.path} is no folder of {ROOT}: check it out, or rebuild the "
                "mini base with make base; a model of the hub needs model.revision in the params."
            )
        return f"{path}@{params.model.revision}"
    return _folder_hash(path)


@cache
def _folder_hash(path: Path) -> str:
    files = sorted(p for p in path.iterdir() if p.suffix in (".safetensors", ".json", ".jinja", ".txt"))
    if not any(file.suffix == ".safetensors" for file in files):
        raise StudyError(f"{path} holds no safetensors: check it out again, or rebuild it with make base.")
    return "-".join([path.name, *(file_hash(file)[:12] for file in files)])


def plan_identity(plan: dict[str, Stage]) -> str:
    return hashlib.sha256("".join(stage.identity for stage in plan.values()).encode()).hexdigest()
