"""Chapters: each is executed by papermill and published like any other stage, so that it is run only once."""

import hashlib
import json
import multiprocessing
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from functools import cache
from pathlib import Path
from typing import Any

from studylib.errors import StudyError
from studylib.paths import ROOT, reference_root
from studylib.store import store
from studylib.store.identity import Stage, imported_by
from studylib.store.store import Run, Work
from studylib.study import bases
from studylib.study.notebook import Study
from studylib.study.plan import plan_identity
from studylib.study.progress import Logs, say
from studylib.study.workers import WORKER, side_by_side, worker_count

NOTEBOOKS = ROOT / "notebooks"
RESULTS = "studylib.study.results:Results"
LAZY = ("studylib:", "studylib.analysis:", "studylib.figures:")  # rooms: what is used of them stands in the cells


def chapters() -> list[Path]:
    """All chapters, in reading order."""
    return sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def chapter_named(start: str) -> Path:
    """The chapter whose name begins so ("03"). Raises StudyError."""
    matching = [path for path in chapters() if path.name.startswith(start)]
    if len(matching) != 1:
        known = ", ".join(path.stem for path in chapters())
        raise StudyError(f"No one chapter begins with {start!r}; there are: {known}.")
    return matching[0]


def chapter_stage(notebook: Path, study: Study) -> Stage:
    """A chapter's identity: its cells, every stage that it could draw, other seeds that are there, the code it uses;
    of the chapter that reads other scales, also what is there of these."""
    cells = json.loads(notebook.read_text())["cells"]
    source = json.dumps([[cell["cell_type"], "".join(cell["source"])] for cell in cells])
    params = {
        "source": hashlib.sha256(source.encode()).hexdigest(),
        "plan": plan_identity(study.plan),
        "other_seeds": {str(seed): _other_seed(study, seed) for seed in study.params.seeds if seed != study.seed},
    }
    written = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    if bases.__name__ in written:
        params["dial"] = {
            one.scale: {str(seed): _other_seed(one, seed) for seed in one.params.seeds}
            for one in bases.others(study).values()
        }
    code = used_by(written)
    return Stage(f"chapter-{notebook.stem}", "chapter", params, {}, (*code, RESULTS), study.seed)


def used_by(source: str) -> tuple[str, ...]:
    """What a chapter's code uses of the study, as "module:name", but for study/: the plan hashes what counts there."""
    dotted = re.findall(r"\b(analysis|figures)\.(\w+)(?:\.(\w+))?", source)  # without a third name: the whole module
    imported = [name for name in imported_by(source) if not name.startswith(("studylib.study.", *LAZY))]
    return tuple(sorted({f"studylib.{room}.{module}:{name or '*'}" for room, module, name in dotted}.union(imported)))


@cache
def _other_seed(study: Study, seed: int) -> str:
    """What there is of another training seed: all of it here, or what is committed, or nothing."""
    plan = Study(study.scale, seed, True, study.overrides).plan
    if all(store.folder(stage, study.root).exists() for stage in plan.values()):
        return plan_identity(plan)
    text = reference_root(study.scale) / f"plan.s{seed}.txt"
    return text.read_text() if text.exists() else ""


def run_chapters(notebooks: list[Path], study: Study) -> list[Run]:
    """The executed chapters, each with the tables that it saved; run side by side unless they are published.

    Raises StudyError with what the failing cells said; the other chapters are executed and published all the same.
    """
    return _side_by_side(_publish, notebooks, study)


def read_chapters(study: Study) -> None:
    """Executes every chapter on the committed reference, into `runs/<scale>/read/`."""
    _side_by_side(_read, chapters(), study)


def _side_by_side(do: Callable[[Path, Study], Any], notebooks: list[Path], study: Study) -> list[Any]:
    logs = Logs(study.root / ".work", "log-*.txt")  # of what the chapters compute themselves
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(worker_count(), mp_context=spawn) as pool:
        futures = [pool.submit(do, notebook, study) for notebook in notebooks]
        waiting = set(futures)
        while waiting:
            ended, waiting = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
            for line in logs.new():
                say(line)
            for notebook, future in zip(notebooks, futures, strict=True):
                if future in ended:
                    say(f"{notebook.stem}: {future.exception() or 'done'}")
    for future in futures:
        if not isinstance(future.exception(), StudyError | None):
            future.result()
    stopped = [notebook.stem for notebook, future in zip(notebooks, futures, strict=True) if future.exception()]
    if stopped:
        raise StudyError(f"{', '.join(stopped)} stopped (why stands above): start again, the others are kept.")
    return [future.result() for future in futures]


def _publish(notebook: Path, study: Study) -> Run:
    def do(work: Work) -> None:
        execute(notebook, work.path, study)

    return store.ensure(chapter_stage(notebook, study), do, study.root)


def _read(notebook: Path, study: Study) -> None:
    execute(notebook, study.root / "read", study)


def execute(notebook: Path, folder: Path, study: Study) -> None:
    """Executes a chapter in a folder, where it leaves its tables too. Raises StudyError with what the failing cell
    said."""
    from papermill import PapermillExecutionError, execute_notebook

    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {**WORKER, "PYTHONPATH": str(ROOT)}  # the kernel's
    parameters = {"scale": study.scale, "seed": study.seed, "train": study.train}
    out, quiet = folder / notebook.name, ["--log-level=ERROR"]
    how = {"cwd": folder, "kernel_name": "python3", "progress_bar": False, "extra_arguments": quiet}
    try:
        execute_notebook(notebook, out, parameters, **how)
    except PapermillExecutionError as error:
        reason = error.evalue if error.ename == "StudyError" else f"{error.ename}: {error.evalue}"
        raise StudyError(f"{reason} (executed so far: {out})") from None


def study_all(study: Study) -> None:
    """Every chapter and every stage of the plan; does nothing, and says so, where all is published."""
    try:
        with store.lock(study.root / ".work" / "study.lock"):
            _study_all(study)
    except store.Busy:
        raise StudyError(
            f"Another make study is at work on {study.scale}: wait for it, or stop it and start again."
        ) from None


def _study_all(study: Study) -> None:
    begun = time.monotonic()
    todo = [notebook for notebook in chapters() if not published(chapter_stage(notebook, study), study.root)]
    missing = [stage for stage in study.plan.values() if not published(stage, study.root)]
    if not todo and not missing:
        say(f"Nothing to do: every stage and chapter of {study.scale}, seed {study.seed} is published.")
        return
    say(f"{len(missing)} stages and {len(todo)} chapters to make.")
    side_by_side(missing, study.params, study.root, reference_root(study.scale), worker_count())
    run_chapters(todo, study)
    say(f"All done in {(time.monotonic() - begun) / 60:.1f} min.")


def published(stage: Stage, root: Path) -> bool:
    """True if published and intact; raises StudyError if damaged."""
    folder = store.folder(stage, root)
    return folder.exists() and bool(store.load(folder))
