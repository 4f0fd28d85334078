"""The committed reference `outputs/<scale>/`: `make reference` writes it, `make study` compares with it."""

import json
import shutil
from pathlib import Path

import pandas as pd

from studylib.errors import StudyError
from studylib.paths import reference_root
from studylib.store import store
from studylib.store.store import MANIFEST, Run
from studylib.study.bases import without_chapters
from studylib.study.chapters import chapter_stage, chapters
from studylib.study.notebook import Study
from studylib.study.plan import plan_identity

_LIGHT = {".parquet", ".json", ".jsonl", ".csv", ".ipynb"}


def write_reference(study: Study) -> None:
    """Copies tables, responses, logs and manifests of one seed, without weights and pictures, and the first
    seed's executed chapters, where the scale has chapters; at mini the notebooks show what these showed.

    Raises StudyError if a stage or chapter has not been published.
    """
    target = reference_root(study.scale)
    runs = [store.find(stage, study.root) for stage in study.plan.values()]
    target.mkdir(parents=True, exist_ok=True)
    (target / f"plan.s{study.seed}.txt").write_text(plan_identity(study.plan))
    first = study.seed == study.params.seeds[0] and not without_chapters(study.scale)
    executed = [(path, store.find(chapter_stage(path, study), study.root)) for path in chapters() if first]
    for run, stage in zip(runs, study.plan.values(), strict=True):
        _copy(run, target / "stages" / stage.label)
    print(f"outputs/{study.scale}: {len(runs)} stages and {len(executed)} chapters of seed {study.seed}.")
    if not first:
        return
    shutil.rmtree(target / "chapters", ignore_errors=True)
    shutil.rmtree(target / "tables", ignore_errors=True)
    for notebook, run in executed:
        (target / "chapters").mkdir(parents=True, exist_ok=True)
        _copy_chapter(run.path / notebook.name, target / "chapters" / notebook.name)
        if study.scale == "mini":  # the scale that the notebooks themselves name
            _fill(notebook, run.path / notebook.name)
        if (run.path / "tables").exists():
            shutil.copytree(run.path / "tables", target / "tables" / notebook.stem)


def _copy_chapter(executed: Path, target: Path) -> None:
    """The executed notebook as a reader wants it: without the places where this machine keeps it, which papermill
    notes, and with its parameters where they belong, set to read what is committed with it."""
    notebook = json.loads(executed.read_text())
    for place in ("input_path", "output_path"):
        notebook["metadata"]["papermill"].pop(place, None)
    given = notebook["metadata"]["papermill"]["parameters"]
    cells = notebook["cells"]
    notebook["cells"] = [cell for cell in cells if "injected-parameters" not in cell["metadata"].get("tags", [])]
    (own,) = (cell for cell in cells if "parameters" in cell["metadata"].get("tags", []))
    own["source"] = f"scale = {given['scale']!r}\nseed = {given['seed']}\ntrain = False".replace("'", '"')
    target.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


def _fill(notebook: Path, executed: Path) -> None:
    """Puts what an executed chapter showed into its notebook, figures as pictures alone: small, and seen everywhere."""
    chapter = json.loads(notebook.read_text())
    outputs = {cell["id"]: cell["outputs"] for cell in json.loads(executed.read_text())["cells"] if "outputs" in cell}
    code = (cell for cell in chapter["cells"] if cell["cell_type"] == "code")
    for number, cell in enumerate(code, 1):  # anew: papermill's own cell of parameters is not among these
        cell["execution_count"], cell["outputs"] = number, outputs[cell["id"]]
        for output in cell["outputs"]:
            if "execution_count" in output:
                output["execution_count"] = number
            if picture := output.get("data", {}).get("image/png"):
                output["data"] = {"image/png": picture}
    notebook.write_text(json.dumps(chapter, indent=1, ensure_ascii=False) + "\n")


def _copy(run: Run, target: Path) -> None:
    kept = [name for name in run.manifest["files"] if _light(name)]
    shutil.rmtree(target, ignore_errors=True)
    for name in kept:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(run.path / name, target / name)
    target.mkdir(parents=True, exist_ok=True)
    (target / MANIFEST).write_text(json.dumps({**run.manifest, "kept": kept}, indent=1))


def _light(name: str) -> bool:
    """Light is what stands at the top of a run's folder: checkpoints and pictures lie deeper."""
    return "/" not in name and Path(name).suffix in _LIGHT


def compare(study: Study) -> bool:
    """Prints, table by table, how this run's differ from the reference's; returns whether all are there.

    Numbers that training decides differ between machines: they are reported, not judged.
    """
    reference = reference_root(study.scale) / "tables"
    if not reference.exists():
        print(f"No reference in outputs/{study.scale} to compare with: make reference SCALE={study.scale}.")
        return True
    good = True
    for notebook in chapters():
        name, run = notebook.stem, store.folder(chapter_stage(notebook, study), study.root)
        if not run.exists():
            raise StudyError(f"Chapter {name} has not been run: make chapter-{name[:2]} SCALE={study.scale}.")
        for table in sorted((reference / name).glob("*.csv")):
            verdict = difference(table, run / "tables" / table.name)
            good = good and not verdict.startswith("MISSING")
            print(f"{name[:2]} {table.stem:32} {verdict}")
    return good


def difference(ours: Path, theirs: Path) -> str:
    if not theirs.exists():
        return "MISSING from this run"
    if ours.read_bytes() == theirs.read_bytes():
        return "same"
    a, b = pd.read_csv(ours), pd.read_csv(theirs)
    if list(a.columns) != list(b.columns) or len(a) != len(b):
        return f"other shape: {len(a)} x {a.shape[1]} in the reference, {len(b)} x {b.shape[1]} here"
    numbers = a.select_dtypes("number").columns.intersection(b.select_dtypes("number").columns)
    apart = (a[numbers] - b[numbers]).abs().max()
    words = [c for c in a.columns.difference(numbers) if not a[c].equals(b[c])]
    differing = [f"{column} by at most {value:.3g}" for column, value in apart.items() if value > 0]
    differing += [f"{column} in {int((a[column] != b[column]).sum())} rows" for column in words]
    return f"differs: {', '.join(differing)}" if differing else "same"
