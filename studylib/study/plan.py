"""The plan: every stage of the study for one seed, built from the params alone."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from studylib.data.hub import identity
from studylib.engine.models import base_name
from studylib.errors import StudyError
from studylib.params.load import Params
from studylib.params.schema import METHODS, Arm, Data, Gate
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
SPLITS = ("train", "validation", "test")
# What a stage's function calls only where the params name it; else its code does not count.
ENGINES = {  # what only one of them reaches
    "hf": ("studylib.engine.generate:_hugging_face", "studylib.stages.sample:_in_parts"),
    "vllm": ("studylib.engine.generate:_vllm", "studylib.stages.sample:_as_they_come"),
}
Plan = dict[str, Stage]


def build_plan(params: Params, seed: int) -> Plan:
    """All stages by name, inputs before what needs them.

    `<arm>` trains, `<arm>.select` chooses its checkpoint on validation, `<arm>.responses` and `<arm>.grades`
    are its test results, `<arm>.divergence` its token-level KL to the base. `prompt.<n>` is the base with one of the
    gate's prompts on validation, `base_prompted` with the best of them on test, `gate` the first seed's gate table.
    Stages without a seed of their own are shared by all seeds.
    """
    planner = _Planner(params, seed)
    for split in SPLITS:
        data = {"split": split, "data": data_of(params.data, split)}
        planner.add(f"questions.{split}", planner.source("questions"), data, {})
    for name, (draw, split, instruct) in BASE_SETS.items():
        samples = params.sampling.arm if instruct else params.sampling.base
        planner.sample(name, "base", split, instruct=instruct, samples=samples, draw=draw)
    planner.add("levels", "levels", {}, planner.answers("base_a", "test"))
    planner.add("levels.validation", "levels", {}, planner.answers("base_validation", "validation"))
    if params.gate:
        planner.prompted(params.gate.prompts)
    planner.select("base", draw=104)
    for arm in params.arms:
        if seed == params.seeds[0] or arm not in params.first_seed_only:
            planner.arm(arm)
    if params.gate and seed == params.seeds[0] and set(PARENTS) <= set(params.arms):
        planner.gate(params.gate)
    return planner.plan


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


class _Planner:
    def __init__(self, params: Params, seed: int, plan: Plan | None = None):
        self.params, self.seed, self.plan = params, seed, plan or {}
        self.base = {"base": base_identity(params), "max_pixels": params.model.max_pixels}
        self.evaluation = params.sampling.model_dump(include={"temperature", "top_p", "top_k", "max_new_tokens"})
        self.unused = tuple(code for name in ENGINES if name != params.engine.name for code in ENGINES[name])

    def add(self, name: str, kind: str, params: dict[str, Any], inputs: Plan, seed: int | None = None) -> Stage:
        function = KINDS[kind]
        code = (f"{function.__module__}:{function.__name__}",)
        self.plan[name] = Stage(name, kind, params, inputs, code, seed, self.unused)
        return self.plan[name]

    def source(self, kind: str) -> str:
        """Where questions come from: a kind of its own, so that the hub's code does not count for the mini world."""
        return f"hub_{kind}" if self.params.data.published else kind

    def questions(self, split: str) -> Plan:
        return {"questions": self.plan[f"questions.{split}"]}

    def model(self, arm: str) -> Plan:
        return {} if arm == "base" else {"model": self.plan[arm], "select": self.plan[f"{arm}.select"]}

    def graded(self, name: str) -> Plan:
        return {part: self.plan[f"{name}.{part}"] for part in ("responses", "grades")}

    def answers(self, name: str, split: str) -> Plan:
        return self.graded(name) | self.questions(split)

    def shown(self, arm: str, *, instruct: bool, samples: int, draw: int, **sampling: Any) -> dict[str, Any]:
        """What decides the answers of a model beside its weights and the questions. sampling: overrides."""
        params = {"arm": arm, "instruct": instruct, "samples": samples, "seed": draw}
        return params | {"sampling": self.evaluation | sampling, "engine": self.params.engine.model_dump()} | self.base

    def sample(
        self,
        name: str,
        model: str,
        split: str,
        arm: str | None = None,
        prompt: str | Stage | None = None,
        seed: int | None = None,
        **shown: Any,
    ) -> None:
        """Stages `<name>.responses` and, apart from it, `<name>.grades`: by the rules, and those of test responses then
        by the judge, where the params name one, so that nothing that is trained waits for it.

        prompt: what stands below each question, or the stage that chooses it.
        """
        params = self.shown(arm or name, **shown)
        inputs = self.questions(split) | self.model(model)
        if isinstance(prompt, Stage):
            inputs["prompt"] = prompt
        elif prompt:
            params["prompt"] = prompt
        responses = self.add(f"{name}.responses", "sample", params, inputs, seed)
        inputs = {"responses": responses, **self.questions(split)}
        if self.params.judge and split == "test":
            rules = self.add(f"{name}.rules", "grade", {}, inputs, seed)
            judge = self.params.judge.model_dump(exclude={"base_url", "at_once"})
            self.add(f"{name}.grades", "judge", {"judge": judge}, inputs | {"rules": rules}, seed)
        else:
            self.add(f"{name}.grades", "grade", {}, inputs, seed)

    def select(self, arm: str, draw: int, seed: int | None = None) -> None:
        params = self.shown(arm, instruct=True, samples=self.params.sampling.validation, draw=draw)
        model = {} if arm == "base" else {"model": self.plan[arm]}
        self.add(f"{arm}.select", "select", params, self.questions("validation") | model, seed)

    def prompted(self, prompts: list[str]) -> None:
        """The base with each prompt on validation, and with the best of them on test, as the arms are tested."""
        arm, sampling = "base_prompted", self.params.sampling
        shown = {"arm": arm, "instruct": False, "samples": sampling.validation}
        for n, prompt in enumerate(prompts):
            self.sample(f"prompt.{n}", "base", "validation", prompt=prompt, draw=PROMPT_DRAWS + n, **shown)
        grades = {str(n): self.plan[f"prompt.{n}.grades"] for n in range(len(prompts))}
        best = self.add(f"{arm}.select", "select_prompt", {"prompts": prompts}, grades)
        self.sample(arm, "base", "test", prompt=best, instruct=False, samples=sampling.arm, draw=107)

    def gate(self, gate: Gate) -> None:
        """The table of the gate, from the base and the first seed's parents alone."""
        self.base_on_queries()
        names = {"base": "base", "instructed": "base_instructed", "train": "base_train", "plain": "base_validation"}
        names |= {f"prompt.{n}": f"prompt.{n}" for n in range(len(gate.prompts))}
        names |= {"sft": PARENTS[0], "rl": PARENTS[1]}
        inputs = {f"questions.{split}": self.plan[f"questions.{split}"] for split in SPLITS}
        for role, name in names.items():
            inputs |= {f"{role}.{part}": stage for part, stage in self.graded(name).items()}
        inputs |= {f"{role}.select": self.plan[f"{names[role]}.select"] for role in ("sft", "rl")}
        inputs |= {"levels": self.plan["levels"], "traces": self.training_set("eureka")}
        self.add("gate", "gate", {"gate": gate.model_dump()}, inputs, self.seed)

    def arm(self, arm: str) -> None:
        """The arm's training, its selection, its test results. Made once."""
        if arm in self.plan:
            return
        for parent in self.params.parents(arm).values():
            self.arm(parent)
        sampling = self.params.sampling
        self.train(arm, self.params.arms[arm])
        self.select(arm, self.seed, self.seed)
        self.sample(arm, arm, "test", instruct=True, samples=sampling.arm, draw=self.seed, seed=self.seed)
        inputs = {"responses": self.plan[f"{arm}.responses"]} | self.questions("test") | self.model(arm)
        self.add(f"{arm}.divergence", "divergence", {"questions": sampling.divergence} | self.base, inputs, self.seed)

    def train(self, name: str, arm: Arm) -> None:
        params = {section: getattr(arm, section).model_dump() for section in METHODS[arm.method]}
        if self.params.launch and "rl" in params:
            params["rollouts"] = self.params.launch.rollouts
        if arm.method == "merging":
            parents = {"sft": arm.merging.sft, "rl": arm.merging.rl}
            inputs = {role: self.plan[parent] for role, parent in parents.items()}
            inputs |= {f"{role}_select": self.plan[f"{parent}.select"] for role, parent in parents.items()}
        else:
            inputs = {"data": self.training_set(arm.data)} | self.model(arm.start)
        if arm.method == "progressive":
            inputs["grades"] = self.base_on_queries()
        self.add(name, arm.method, params | self.base, inputs, self.seed)

    def training_set(self, source: str) -> Stage:
        """The stage that makes a data set, which is named after its method of this class: `traces.careful`, `mixed`."""
        name = f"traces.{source}" if source in ("rambling", "careful") else source
        if name not in self.plan:
            getattr(self, name.split(".")[0])(name)
        return self.plan[name]

    def traces(self, name: str) -> None:
        manner = name.split(".")[1]
        self.add(name, self.source("traces"), {"manner": manner, "data": data_of(self.params.data, manner)}, {})

    def on_queries(self, name: str, arm: str, responses: int, temperature: float) -> Plan:
        """An arm's graded answers to the training queries, with the queries: what a data set is made from."""
        shown = {"instruct": True, "samples": responses, "draw": self.seed, "temperature": temperature}
        self.sample(name, arm, "train", arm, seed=self.seed, **shown)
        return self.answers(name, "train")

    def eureka(self, name: str) -> None:
        """The distilled set of this seed, or of the one seed that all share (`distill.seed`)."""
        distill = self.params.distill
        if distill.seed not in (None, self.seed):
            questions = {f"questions.{split}": self.plan[f"questions.{split}"] for split in SPLITS}
            self.plan[name] = _Planner(self.params, distill.seed, questions).training_set(name)
            return
        self.arm("sft_careful")
        inputs = self.on_queries(name, "sft_careful", distill.responses, distill.temperature)
        self.add(name, "distill", {}, inputs, self.seed)

    def eureka_no_easy(self, name: str) -> None:
        """Easy is what the base, sampled as in RL, solves in every rollout: there the advantage is zero."""
        data = self.training_set("eureka")
        self.add(name, "no_easy", {}, {"data": data, "grades": self.base_on_queries()}, data.seed)

    def mixed(self, name: str) -> None:
        """The RL model's correct answers to the queries, and traces where it has none (paper 3, data mixing)."""
        mixing, eureka = self.params.mixing, self.training_set("eureka")
        inputs = self.on_queries(name, mixing.arm, mixing.responses, mixing.temperature)
        traces = {"traces": eureka.inputs["responses"], "trace_grades": eureka.inputs["grades"]}
        self.add(name, "mix", {}, inputs | traces, self.seed)

    def base_on_queries(self) -> Stage:
        """Grades of the base on the queries, sampled as in RL: the pass rates that are fixed beforehand."""
        rl = self.params.rl
        if "base_train.grades" not in self.plan:
            as_rl = {"temperature": rl.temperature, "top_p": 1.0, "top_k": 0, "max_new_tokens": rl.max_new_tokens}
            shown = {"instruct": True, "samples": rl.rollouts, "draw": 105}
            self.sample("base_train", "base", "train", "base", **shown, **as_rl)
        return self.plan["base_train.grades"]


def ancestors(stage: Stage) -> list[Stage]:
    """The stage and all that it needs, inputs first, each once."""
    in_order: dict[str, Stage] = {}

    def visit(node: Stage) -> None:
        for source in node.inputs.values():
            visit(source)
        in_order.setdefault(node.identity, node)

    visit(stage)
    return list(in_order.values())


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
