"""Chapters: each is executed by papermill and published like any other stage, so that it is run only once."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from studylib.errors import StudyError, named_error
from studylib.paths import ROOT, reference_root
from studylib.store import store
from studylib.store.identity import Stage, imported_by
from studylib.store.store import Run, Work, exclusive
from studylib.study.notebook import Study
from studylib.study.plan import plan_identity
from studylib.study.workers import make_jobs, worker_count

NOTEBOOKS = ROOT / "notebooks"
RESULTS = "studylib.study.results:Results"
LAZY = ("studylib:", "studylib.analysis:", "studylib.figures:")  # rooms: what is used of them stands in the cells


def chapters() -> list[str]:
    """All chapters by name, in reading order."""
    return sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def chapter_named(start: str) -> str:
    """The chapter whose name begins so ("03"). Raises StudyError."""
    found = [name for name in chapters() if name.startswith(start)]
    if len(found) != 1:
        raise StudyError(f"No one chapter begins with {start!r}; there are: {', '.join(chapters())}.")
    return found[0]


def chapter_stage(name: str, study: Study) -> Stage:
    """A chapter's identity: its cells, every stage that it could draw, other seeds that are there, the code it uses."""
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())["cells"]
    source = json.dumps([[cell["cell_type"], "".join(cell["source"])] for cell in cells])
    asked = {
        "source": hashlib.sha256(source.encode()).hexdigest(),
        "plan": plan_identity(study.plan),
        "other_seeds": {str(seed): _other_seed(study, seed) for seed in study.params.seeds if seed != study.seed},
    }
    code = used_by("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"))
    return Stage(f"chapter-{name}", "chapter", asked, {}, (*code, RESULTS), study.seed)


def used_by(source: str) -> tuple[str, ...]:
    """What a chapter's code uses of the study, as "module:name", but for study/: the plan hashes what counts there."""
    dotted = re.findall(r"\b(analysis|figures)\.(\w+)(?:\.(\w+))?", source)  # without a third name: the whole module
    imported = [name for name in imported_by(source) if not name.startswith(("studylib.study.", *LAZY))]
    return tuple(sorted({f"studylib.{room}.{module}:{name or '*'}" for room, module, name in dotted}.union(imported)))


def _other_seed(study: Study, seed: int) -> str:
    """What there is of another training seed: all of it here, or what is committed, or nothing."""
    plan, committed = Study(study.scale, seed, True, study.overrides).plan, reference_root(study.scale)
    if all(store.folder(stage, study.root).exists() for stage in plan.values()):
        return plan_identity(plan)
    text = committed / f"plan.s{seed}.txt"
    return text.read_text() if text.exists() else ""


def run_chapter(name: str, study: Study) -> Run:
    """The executed chapter, with the tables that it saved; run by papermill unless it is published."""
    stage = chapter_stage(name, study)
    return store.ensure(stage, lambda work: _execute(name, study, work), study.root)


def _execute(name: str, study: Study, work: Work) -> None:
    told = work.path.with_suffix(".progress")
    told.write_text("")
    over = threading.Event()
    watcher = threading.Thread(target=_tell, args=(told, name, over), daemon=True)
    watcher.start()
    try:
        papermill(name, work.path / f"{name}.ipynb", study, tables=work.path / "tables", progress=told)
    finally:
        over.set()
        watcher.join()
        told.unlink()


def papermill(name: str, out: Path, study: Study, tables: Path, progress: Path | None = None) -> None:
    """Executes one notebook in a process of its own. Raises StudyError with what the failing cell said."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "STUDY_TABLES": str(tables), "PYTHONPATH": str(ROOT)}
    if progress is not None:
        environment["STUDY_PROGRESS"] = str(progress)
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(NOTEBOOKS / f"{name}.ipynb"),
        str(out),
        "--no-progress-bar",
        "--cwd",
        str(NOTEBOOKS),
        "-p",
        "scale",
        study.scale,
        "-p",
        "seed",
        str(study.seed),
        "-p",
        "train",
        str(study.train),
        "-k",
        "python3",
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise StudyError(f"Chapter {name} stopped: {_reason(done.stderr)} (executed so far: {out})")


def _reason(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.strip()]
    return named_error(lines, "studylib.errors.StudyError: ") or (lines or ["no word"])[-1]


def _tell(path: Path, name: str, over: threading.Event) -> None:
    """Passes on what the chapter's stages say, and a sign of life when they say nothing for a minute."""
    last = time.monotonic()
    with path.open() as told:
        while True:
            ended = over.is_set()
            for line in told.readlines():
                print(f"[{name[:2]}] {line.rstrip()}", flush=True)
                last = time.monotonic()
            if ended:
                return
            if time.monotonic() - last > 60:
                print(f"[{name[:2]}] at work", flush=True)
                last = time.monotonic()
            time.sleep(0.5)


def study_all(study: Study, make: str) -> None:
    """Every chapter and every stage of the plan; does nothing, and says so, where all is published."""
    refuse = f"Another make study is at work on {study.scale} ({{who}}): wait for it, or stop it and start again."
    with exclusive(study.root / ".work" / "study.lock", refuse):
        begun = time.monotonic()
        todo = [name for name in chapters() if not _published(chapter_stage(name, study), study.root)]
        missing = [name for name, stage in study.plan.items() if not _published(stage, study.root)]
        if not todo and not missing:
            print(f"Nothing to do: every stage and chapter of {study.scale}, seed {study.seed} is published.")
        else:
            print(f"{len(missing)} stages and {len(todo)} chapters to make.", flush=True)
            study.run(*missing, workers=make_jobs() or worker_count())
            _make_chapters(study, todo, make)
            print(f"All done in {(time.monotonic() - begun) / 60:.1f} min.")
        wall_times(study)


def _make_chapters(study: Study, todo: list[str], make: str) -> None:
    """Hands the chapters to make, which knows how many to run side by side."""
    if not todo:
        return
    targets = [f"chapter-{name[:2]}" for name in todo]
    jobs = [] if make_jobs() else [f"-j{worker_count()}"]
    asked = [*make.split(), *jobs, "-k", "--no-print-directory", f"SCALE={study.scale}", f"SEED={study.seed}"]
    if subprocess.run([*asked, *targets], cwd=ROOT, close_fds=False).returncode:
        raise StudyError(
            "A chapter stopped (its reason stands above); what was published is kept, and the same "
            "command goes on from there."
        )


def _published(stage: Stage, root: Path) -> bool:
    """Whether a stage is there and whole; a damaged one is told, not made again behind the reader's back."""
    folder = store.folder(stage, root)
    return folder.exists() and bool(store.load(folder))


def wall_times(study: Study) -> None:
    """Prints each published stage's wall time."""
    total = 0.0
    for stage in [*study.plan.values(), *(chapter_stage(name, study) for name in chapters())]:
        if (folder := store.folder(stage, study.root)).exists():
            manifest = store.load(folder).manifest
            total += manifest["seconds"] if stage.kind != "chapter" else 0
            print(f"{stage.label:32} {manifest['seconds']:8.1f} s  {manifest['peak_memory_gib']:5.2f} GiB")
    print(f"{'all stages (chapters wait for theirs)':32} {total:8.1f} s")


def read_chapters(study: Study) -> None:
    """Executes every chapter on the committed reference, two at a time, into `runs/<scale>/read/`."""
    out = study.root / "read"
    out.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []

    def one(name: str) -> None:
        try:
            papermill(name, out / f"{name}.ipynb", study, tables=out / "tables")
            print(f"{out / name}.ipynb", flush=True)
        except StudyError as error:
            failed.append(str(error))

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(one, chapters()))
    if failed:
        raise StudyError(" ".join(failed))
