"""The study as a notebook sees it: results that are there are read, what is missing is computed if asked for.

    study = Study(scale="mini", seed=1)
    r = study.results("sft_eureka", "rl")     # scores, levels, base, gains, lengths ... in one go
    study.show(figures.levels.gain_by_level(r.gains), "gains")

Everything comes from the committed results in `outputs/<scale>/` and nothing is computed, unless the study is made
with train=True: then everything is in `runs/<scale>/`, and what is missing there is trained and sampled first.
"""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from studylib.analysis.checkpoints import chosen_responses
from studylib.analysis.difficulty import with_parts
from studylib.analysis.scores import join_scores
from studylib.analysis.synergy import PARENTS, better_parents
from studylib.errors import StudyError, named_error
from studylib.params.load import Params, load_params, nearest
from studylib.paths import ROOT, reference_root, runs_root
from studylib.store import machine, store
from studylib.store.files import load_rows, model_of
from studylib.store.identity import Stage
from studylib.store.store import Run
from studylib.study.plan import ancestors, build_plan, plan_identity
from studylib.study.progress import Logs, shown
from studylib.study.results import Results, pooled

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Progress shows without widgets, and tqdm's word about it would print this machine's paths into the notebook.
warnings.filterwarnings("ignore", message="IProgress not found")


class Study:
    """One scale and one seed of the study. `overrides` goes by dotted key: {"rl.beta": 0.02}."""

    def __init__(
        self, scale: str = "mini", seed: int = 1, train: bool = False, overrides: dict[str, Any] | None = None
    ):
        self.scale, self.seed, self.train, self.overrides = scale, seed, train, overrides or {}
        if self.overrides and not train:
            raise StudyError("Results of params of your own are not committed: Study(..., train=True) computes them.")
        if seed < 1:
            raise StudyError(f"The seed is {seed}: seeds are whole numbers from 1.")
        self.params: Params = load_params(scale, self.overrides)
        if not self.params.launch:
            machine.hide_gpus()
        self.plan = build_plan(self.params, seed)
        self.root = runs_root(scale)

    @property
    def stamp(self) -> str:
        """What every figure says of its origin: scale, seed and the identity of the whole plan."""
        committed = reference_root(self.scale) / f"plan.s{self.seed}.txt"
        plan = plan_identity(self.plan) if self.train or not committed.exists() else committed.read_text()
        return f"scale {self.scale}, seed {self.seed}, plan {plan[:8]}"

    def stage(self, name: str) -> Stage:
        if name not in self.plan:
            raise StudyError(
                f"The plan of {self.scale}, seed {self.seed} has no stage {name!r}{nearest(name, self.plan)}."
            )
        return self.plan[name]

    def planned(self, *arms: str) -> list[str]:
        """Those of these arms that this scale and seed have."""
        return [arm for arm in arms if f"{arm}.grades" in self.plan]

    def run(self, *names: str) -> None:
        """Makes the stages that are missing, and what they need, in processes that outlive a dead kernel."""
        missing = [name for name in names if not self.has(name)]
        if not missing:
            return
        if not self.train:
            raise StudyError(
                f"outputs/{self.scale} holds no {missing[0]} of seed {self.seed}: Study(..., train=True) computes it, "
                f"and make reference SCALE={self.scale} keeps it there."
            )
        print(self.price(*missing), flush=True)
        command = [sys.executable, "-m", "studylib", "stage", *missing]
        command += ["--scale", self.scale, "--seed", str(self.seed)]
        for key, value in self.overrides.items():
            command += ["--set", f"{key}={json.dumps(value)}"]
        follow(command, self.root / ".work" / f"log-{os.getpid()}-{time.time_ns()}.txt")

    def price(self, *names: str) -> str:
        """What making these stages will take, from the committed manifests, or from the params' hardware."""
        from studylib.engine.models import base_name
        from studylib.study.architecture import architecture
        from studylib.study.budget import Reckoner
        from studylib.study.workers import cost, needed

        todo, reference = needed([self.stage(name) for name in names], self.root), reference_root(self.scale)
        some = ", ".join(stage.label for stage in todo[:4]) + " ..." * (len(todo) > 4)
        what = f"{len(todo)} stages to compute ({some})"
        if self.params.hardware:
            reckoner = Reckoner(self.params, architecture(base_name(self.params)))
            hours = sum(reckoner.cost(stage).gpu_hours for stage in todo)
            return f"{what}: about {hours:,.0f} GPU-hours; make plan SCALE={self.scale} has the table."
        manifests = [reference / "stages" / stage.label / store.MANIFEST for stage in todo]
        peaks = [json.loads(path.read_text())["peak_memory_gib"] for path in manifests if path.exists()]
        minutes = sum(cost(stage, reference) for stage in todo) / 60
        memory = f", up to {max(peaks):.1f} GiB a process" if peaks else ""
        return f"{what}: about {minutes:.0f} minutes of one core{memory}. What is cut off goes on where it was."

    def has(self, name: str) -> bool:
        return self._folder(self.stage(name)).exists()

    def get(self, name: str) -> Run:
        """Run or load: the published, verified folder of a stage."""
        self.run(name)
        return store.load(self._folder(self.stage(name)))

    def facts(self, name: str) -> dict[str, Any]:
        """What a stage counted while it ran: rows, tokens, the reward at the end."""
        return self.get(name).manifest["facts"]

    def history(self, name: str) -> list[dict[str, Any]]:
        """Manifests of a stage and of all that it needs, inputs first, each once: what it took."""
        self.run(name)
        return [store.load(self._folder(stage)).manifest for stage in ancestors(self.stage(name))]

    def _folder(self, stage: Stage) -> Path:
        committed = reference_root(self.scale) / "stages" / stage.label
        return store.folder(stage, self.root) if self.train else committed

    def table(self, name: str) -> pd.DataFrame:
        """The table that a stage leaves: responses, grades, levels, questions without pictures, tokens."""
        (path,) = self.get(name).path.glob("*.parquet")
        return pd.read_parquet(path)

    def results(self, *arms: str) -> Results:
        """What the base and these arms answered, fetched in one go. "base" is set B, "base_a" the one that tags."""
        arms = tuple(arm for arm in arms if arm not in ("base", "base_a"))
        chosen = [f"{arm}.select" for arm in ("base", *arms) if f"{arm}.select" in self.plan]
        prompted = self.planned("base_prompted") and (self.train or self.has("base_prompted.grades"))
        self.run("levels", "questions.test", "questions.validation", *chosen, *self._answers("base_a", "base", *arms))
        return Results(
            arms=arms,
            scores=self.scores("base", *arms),
            base_a=self.scores("base_a"),
            levels=self.levels(),
            validation=pd.concat([self.table(name) for name in chosen]),
            asked=self.table("questions.validation"),
            prompted=self.scores("base_prompted") if prompted else None,
            seeds=(self.seed,),
            stamp=self.stamp,
        )

    def across_seeds(self, *arms: str) -> Results:
        """The same from every training seed of the params that is complete, pooled; validation stays this seed's.

        Another seed is taken from where this study is, or, if it was not computed here, from the committed results,
        provided that these answered the same questions from the same base.
        """
        others = (self._seed(seed, arms) for seed in self.params.seeds if seed != self.seed)
        return pooled([self.results(*arms), *(other.results(*arms) for other in others if other)])

    def _seed(self, seed: int, arms: tuple[str, ...]) -> "Study | None":
        here = Study(self.scale, seed, self.train, self.overrides)
        wanted = self._answers("base", *arms)
        if all(here.has(name) for name in wanted):
            return here
        committed = Study(self.scale, seed)
        if not all(committed.has(name) for name in wanted):
            return None
        same = all(
            committed.get(name).manifest["params"] == here.plan[name].params
            for name in ("questions.test", *(f"{arm}.responses" for arm in ("base", *arms)))
        )
        return committed if same else None

    def _answers(self, *arms: str) -> list[str]:
        return [f"{arm}.{part}" for arm in arms for part in ("responses", "grades")]

    def scores(self, *arms: str) -> pd.DataFrame:
        """One row per test response of these arms (scores.join_scores)."""
        self.run(*self._answers(*arms), "questions.test")
        parts = [
            pd.concat([self.table(f"{arm}.{part}") for arm in arms], ignore_index=True)
            for part in ("responses", "grades")
        ]
        return join_scores(*parts, self.table("questions.test"))

    def levels(self) -> pd.DataFrame:
        """Level, and part ("trained" or "held out"), of every test question."""
        return with_parts(self.table("levels"), self.params.data.training)

    def gate(self) -> pd.DataFrame | None:
        """The gate's table, of the first seed (see analysis.gate.posed); None where the scale has none."""
        first = Study(self.scale, self.params.seeds[0], self.train, self.overrides)
        return pd.read_csv(first.get("gate").path / "gate.csv") if "gate" in first.plan else None

    def better_parents(self) -> pd.DataFrame:
        """Which parent this seed's validation calls better, by part of the benchmarks and level."""
        parents = pd.concat([self.table(f"{arm}.select") for arm in PARENTS])
        levels = with_parts(self.table("levels.validation"), self.params.data.training)
        return better_parents(chosen_responses(parents, self.table("questions.validation")), levels)

    def log(self, *arms: str) -> pd.DataFrame:
        """The training logs of arms, one row per logged step."""
        logs = {arm: pd.read_json(self.get(arm).path / "log.jsonl", lines=True) for arm in arms}
        return pd.concat([log.assign(arm=arm, seed=self.seed) for arm, log in logs.items()])

    def selection(self, arm: str) -> dict[str, Any]:
        """Which checkpoint of an arm was chosen, and the validation accuracy of each."""
        return json.loads((self.get(f"{arm}.select").path / "selection.json").read_text())

    def merged(self, arm: str = "merging") -> pd.DataFrame:
        """Validation responses of every merged model, by its "merge" method and SFT "share".

        The shares 0 and 1 are the chosen checkpoints of the parents, validated on the same questions and draws.
        """
        wanted, grid = self.params.arms[arm].merging, self.table(f"{arm}.select")
        names = grid["checkpoint"].str.rsplit("-", n=1, expand=True)
        parts = [grid.assign(merge=names[0], share=names[1].astype(float))]
        for parent, share in ((wanted.rl, 0.0), (wanted.sft, 1.0)):
            table = self.table(f"{parent}.select")
            ends = table[table["checkpoint"] == self.selection(parent)["checkpoint"]]
            parts += [ends.assign(merge=method, share=share) for method in wanted.methods]
        return pd.concat(parts, ignore_index=True)

    def question(self, question_id: str) -> dict[str, Any]:
        """A question row with its pictures."""
        for split in ("test", "validation", "train"):
            table = self.table(f"questions.{split}")
            if len(row := table[table["id"] == question_id]):
                return {**row.iloc[0].to_dict(), "images": self._pictures(split, row.index[0], row["scene"].iloc[0])}
        raise StudyError(f"No question of {self.scale} is named {question_id!r}{nearest(question_id, table['id'])}.")

    def _pictures(self, split: str, number: int, scene: str) -> list[Any]:
        """Drawn anew from the scene where there is one: the committed results hold no pictures."""
        if scene:
            from studylib.world.scenes import draw

            return [draw(json.loads(scene)["scene"])]
        if self.train:
            return load_rows(self.get(f"questions.{split}"))[number]["images"]
        from studylib.data.hub import load_questions

        return load_questions(self.params, split)[0][number]["images"]

    def model(self, arm: str) -> Path | str:
        """The chosen checkpoint of an arm, or the base."""
        inputs = {} if arm == "base" else {"model": self.get(arm), "select": self.get(f"{arm}.select")}
        return model_of(inputs, self.params)

    def show(self, fig: "go.Figure", name: str, finding: str = "", source: str = "") -> None:
        """Shows a figure with its stamp: scale, seed and plan, or the `source` that its numbers come from instead.

        name: stable, and unique in the chapter. finding: its title, computed from the data (see figures.findings).
        """
        from studylib.figures.display import show
        from studylib.figures.palette import with_stamp, with_title

        show(with_stamp(with_title(fig, finding), source or self.stamp), name, picture=self.train)

    def remark(self, text: str) -> None:
        """Shows sentences under a figure, computed from its table (see figures.readings)."""
        from IPython.display import Markdown, display

        display(Markdown(text))

    def show_answers(self, question_id: str, arms: list[str]) -> None:
        """Shows a test question and, side by side, what each arm answers: the first sample that ends as most of its
        samples do. Each step is coloured right or wrong by the scene's program, where the question has one."""
        from IPython.display import HTML, display

        from studylib.figures.answers import side_by_side

        scores = pd.concat([self.scores(arm) for arm in arms])
        answers = scores[scores["question_id"] == question_id]
        levels = self.levels().set_index("question_id")["level"]
        display(HTML(side_by_side(self.question(question_id), levels[question_id], answers)))

    def keep(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """Keeps a table of this chapter in `tables/` beside the notebook, a named index as columns; gives it back."""
        folder = Path("tables")
        folder.mkdir(exist_ok=True)
        named = isinstance(table.index, pd.MultiIndex) or table.index.name is not None
        (table.reset_index() if named else table).to_csv(folder / f"{name}.csv", index=False)
        return table


def follow(command: list[str], log: Path) -> None:
    """Runs a command, its output in `log`, its latest line shown. Raises StudyError with its last words."""
    log.parent.mkdir(parents=True, exist_ok=True)
    show, logs = shown(), Logs(log.parent, log.name)
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True)
    code, lines = None, ["no word"]
    try:
        while code is None:
            time.sleep(0.2)
            code = process.poll()
            for line in logs.new():
                show(line)
                lines.append(line)
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGTERM)
        raise
    if code:
        ended = f"{' '.join(command[2:])} ended with code {code}: {lines[-1]}; all it said is in {log}."
        raise StudyError(named_error(lines) or ended)
    log.unlink()
