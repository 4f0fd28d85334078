"""The study as a notebook sees it: run what is missing, load what is there, join it into tables.

    study = Study(scale="mini", seed=1)
    study.run("sft_eureka.grades")     # in a process of its own, progress shown; nothing if published
    scores = study.scores("base", "sft_eureka")

With STUDY_READ=1 everything comes from the committed reference in `outputs/<scale>/` and nothing is computed.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from studylib.errors import StudyError, named_error
from studylib.params.load import Params, load_params, nearest
from studylib.paths import ROOT
from studylib.store import machine, store
from studylib.store.files import load_rows, model_of
from studylib.store.identity import Stage
from studylib.store.store import Run
from studylib.study.plan import ancestors, build_plan

if TYPE_CHECKING:
    from datasets import Dataset
from studylib.paths import reference_root, runs_root
from studylib.study.plan import plan_identity
from studylib.study.progress import Logs, shown


class Study:
    """One scale and one seed of the study. `overrides` goes by dotted key: {"rl.beta": 0.02}."""

    def __init__(self, scale: str = "mini", seed: int = 1, overrides: dict[str, Any] | None = None):
        self.scale, self.seed, self.overrides = scale, seed, overrides or {}
        if seed < 1:
            raise StudyError(f"The seed is {seed}: seeds are whole numbers from 1.")
        self.reading = os.environ.get("STUDY_READ") == "1"
        self.params: Params = load_params(scale, self.overrides)
        if not self.params.launch:
            machine.hide_gpus()
        self.plan = build_plan(self.params, seed)
        self.root = runs_root(scale)

    @property
    def stamp(self) -> str:
        """What every figure says of its origin: scale, seed and the identity of the whole plan."""
        committed = reference_root(self.scale) / f"plan.s{self.seed}.txt"
        identity = committed.read_text() if self.reading and committed.exists() else plan_identity(self.plan)
        return f"scale {self.scale}, seed {self.seed}, plan {identity[:8]}"

    def stage(self, name: str) -> Stage:
        if name not in self.plan:
            raise StudyError(
                f"The plan of {self.scale}, seed {self.seed} has no stage {name!r}{nearest(name, self.plan)}."
            )
        return self.plan[name]

    def run(self, *names: str) -> None:
        """Makes the stages that are missing, and what they need, in processes that outlive a dead kernel."""
        missing = [name for name in names if not self.has(name)]
        if not missing:
            return
        if self.reading:
            raise StudyError(
                f"outputs/{self.scale} holds no {missing[0]} of seed {self.seed}: make reference "
                f"SCALE={self.scale} writes it, and without STUDY_READ it is computed."
            )
        command = [sys.executable, "-m", "studylib", "stage", *missing]
        command += ["--scale", self.scale, "--seed", str(self.seed)]
        for key, value in self.overrides.items():
            command += ["--set", f"{key}={json.dumps(value)}"]
        follow(command, self.root / ".work" / f"log-{os.getpid()}-{time.time_ns()}.txt")

    def has(self, name: str) -> bool:
        return self._folder(self.stage(name)).exists()

    def get(self, name: str) -> Run:
        """Run or load: the published, verified folder of a stage."""
        self.run(name)
        return store.load(self._folder(self.stage(name)))

    def history(self, name: str) -> list[dict[str, Any]]:
        """Manifests of a stage and of all that it needs, inputs first, each once: what it took."""
        self.run(name)
        return [store.load(self._folder(stage)).manifest for stage in ancestors(self.stage(name))]

    def _folder(self, stage: Stage) -> Path:
        return reference_root(self.scale) / "stages" / stage.label if self.reading else store.folder(stage, self.root)

    def table(self, name: str, file: str) -> pd.DataFrame:
        """A table of one stage by its file name, such as table("levels", "levels.parquet")."""
        return pd.read_parquet(self.get(name).path / file)

    def scores(self, *arms: str) -> pd.DataFrame:
        """One row a test response of these arms (scores.join_scores). "base" is set B, "base_a" tags."""
        from studylib.analysis.scores import join_scores

        self.run(*(f"{arm}.{part}" for arm in arms for part in ("responses", "grades")), "questions.test")
        parts = [
            pd.concat([self.table(f"{arm}.{part}", f"{part}.parquet") for arm in arms], ignore_index=True)
            for part in ("responses", "grades")
        ]
        return join_scores(*parts, self.table("questions.test", "questions.parquet"))

    def levels(self) -> pd.DataFrame:
        """Level, and part ("trained" or "held out"), of every test question."""
        from studylib.analysis.difficulty import with_parts

        return with_parts(self.table("levels", "levels.parquet"), self.params.data.training)

    def gate(self) -> pd.DataFrame:
        """The gate's table, of the first seed (analysis.gate.posed says what it comes to)."""
        first = Study(self.scale, self.params.seeds[0], self.overrides)
        first.reading = self.reading
        return pd.read_csv(first.get("gate").path / "gate.csv")

    def better_parents(self) -> pd.DataFrame:
        """Which parent this seed's validation calls better, by part of the benchmarks and level."""
        from studylib.analysis import checkpoints, difficulty, synergy

        questions = self.table("questions.validation", "questions.parquet")
        parents = pd.concat([self.validation(arm) for arm in synergy.PARENTS])
        levels = self.table("levels.validation", "levels.parquet")
        levels = difficulty.with_parts(levels, self.params.data.training)
        return synergy.better_parents(checkpoints.chosen_responses(parents, questions), levels)

    def log(self, arm: str) -> pd.DataFrame:
        """The training log of an arm, a row a logged step."""
        return pd.read_json(self.get(arm).path / "log.jsonl", lines=True).assign(arm=arm, seed=self.seed)

    def validation(self, arm: str) -> pd.DataFrame:
        """Every validation response of every checkpoint of an arm ("base": of the base), with its outcome."""
        return self.table(f"{arm}.select", "validation.parquet")

    def merged(self, arm: str = "merging") -> pd.DataFrame:
        """Validation responses of every merged model, by its "merge" method and SFT "share".

        The shares 0 and 1 are the chosen checkpoints of the parents, validated on the same questions and draws.
        """
        wanted, grid = self.params.arms[arm].merging, self.validation(arm)
        names = grid["checkpoint"].str.rsplit("-", n=1, expand=True)
        parts = [grid.assign(merge=names[0], share=names[1].astype(float))]
        for parent, share in ((wanted.rl, 0.0), (wanted.sft, 1.0)):
            chosen = json.loads((self.get(f"{parent}.select").path / "selection.json").read_text())["checkpoint"]
            table = self.validation(parent)
            parts += [table[table["checkpoint"] == chosen].assign(merge=m, share=share) for m in wanted.methods]
        return pd.concat(parts, ignore_index=True)

    def questions(self, split: str) -> "Dataset":
        """Question rows with their pictures."""
        if self.reading:
            from studylib.data import hub, mini

            published = self.params.data.published
            return hub.load_questions(self.params, split)[0] if published else mini.load_questions(self.params, split)
        return load_rows(self.get(f"questions.{split}"))

    def model(self, arm: str) -> Path | str:
        """The chosen checkpoint of an arm, or the base."""
        inputs = {} if arm == "base" else {"model": self.get(arm), "select": self.get(f"{arm}.select")}
        return model_of(inputs, self.params)

    def save(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """Keeps a table of this chapter in `tables/` beside the notebook; gives it back."""
        folder = Path("tables")
        folder.mkdir(exist_ok=True)
        table.to_csv(folder / f"{name}.csv", index=False)
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
