"""The plan: every stage of the study for one seed, built from the params alone."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from studylib.data.hub import local_files
from studylib.engine.models import base_name
from studylib.errors import StudyError
from studylib.params.load import Params
from studylib.params.schema import METHODS, Arm
from studylib.paths import ROOT
from studylib.stages.kinds import KINDS
from studylib.store.identity import Stage, file_hash

# Each set of base samples is drawn with a seed of its own: A tags the levels, every gain is taken against B.
BASE_SETS = {"base_a": (101, False), "base": (102, False), "base_instructed": (103, True)}
# What a stage's function calls only where the params name it; else its code does not count.
ENGINES = {"hf": "studylib.engine.generate:_hugging_face", "vllm": "studylib.engine.generate:_vllm"}
JUDGE = "studylib.grading.judged:judged"


def build_plan(params: Params, seed: int) -> dict[str, Stage]:
    """All stages by name, inputs before what needs them.

    `<arm>` trains, `<arm>.select` chooses its checkpoint on validation, `<arm>.responses` and `<arm>.grades`
    are its test results, `<arm>.divergence` its token-level KL to the base. Stages without a seed of their own
    are shared by all seeds.
    """
    builder = _Builder(params, seed)
    for split in ("train", "validation", "test"):
        builder.add(f"questions.{split}", builder.source("questions"), {"split": split, "data": builder.data_asked})
    for name in BASE_SETS:
        builder.base_set(name)
    builder.add(
        "levels",
        "levels",
        {},
        {
            "responses": builder.plan["base_a.responses"],
            "grades": builder.plan["base_a.grades"],
            "questions": builder.plan["questions.test"],
        },
    )
    builder.add("base.select", "select", builder.validation("base", 104), builder.asked("validation", "base"))
    for arm in params.arms:
        if seed == params.seeds[0] or arm not in params.first_seed_only:
            builder.arm(arm)
    return builder.plan


class _Builder:
    def __init__(self, params: Params, seed: int):
        self.params, self.seed = params, seed
        self.plan: dict[str, Stage] = {}
        self.base = {"base": base_identity(params)}
        self.engine = params.engine.model_dump()
        self.judge = {"judge": params.judge.model_dump(exclude={"base_url", "at_once"})} if params.judge else {}
        self.data_asked = params.data.model_dump()
        if params.data.published:
            self.data_asked["local_files"] = local_files(params.data)
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
    ) -> None:
        """Two stages: `<name>.responses` and, apart from it, `<name>.grades`."""
        asked = {
            "arm": arm,
            "instruct": instruct,
            "samples": samples,
            "sampling": sampling,
            "seed": draw,
            "engine": self.engine,
            **self.base,
        }
        told = self.add(f"{name}.responses", "sample", asked, self.asked(split, start), seed)
        inputs = {"responses": told, "questions": self.plan[f"questions.{split}"]}
        self.add(f"{name}.grades", "grade", self.judge, inputs, seed)

    def base_set(self, name: str) -> None:
        draw, instruct = BASE_SETS[name]
        samples = self.params.sampling.arm if instruct else self.params.sampling.base
        self.sampled(
            name,
            name,
            "test",
            "base",
            instruct=instruct,
            samples=samples,
            draw=draw,
            sampling=self.evaluation,
            seed=None,
        )

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
        """The arm's training, its selection, its test results. Made once."""
        if arm in self.plan:
            return
        for parent in self.params.parents(arm).values():
            self.arm(parent)
        self.train(arm, self.params.arms[arm])
        validated = {"questions": self.plan["questions.validation"], "model": self.plan[arm]}
        self.add(f"{arm}.select", "select", self.validation(arm, self.seed), validated, self.seed)
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

    def train(self, name: str, arm: Arm) -> None:
        asked = {section: getattr(arm, section).model_dump() for section in METHODS[arm.method]}
        if arm.method == "merging":
            parents = {"sft": arm.merging.sft, "rl": arm.merging.rl}
            inputs = {role: self.plan[parent] for role, parent in parents.items()}
            inputs |= {f"{role}_select": self.plan[f"{parent}.select"] for role, parent in parents.items()}
        else:
            inputs = {"data": self.data(arm.data), **self.model(arm.start)}
        if self.params.launch and "rl" in asked:
            asked["rollouts"] = self.params.launch.rollouts
        if arm.method == "progressive":
            inputs["grades"] = self.base_train()
        self.add(name, arm.method, {**asked, **self.base}, inputs, self.seed)

    def data(self, source: str) -> Stage:
        if source in self.plan:
            return self.plan[source]
        if source in ("rambling", "careful"):
            name = f"traces.{source}"
            asked = {"manner": source, "data": self.data_asked}
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
