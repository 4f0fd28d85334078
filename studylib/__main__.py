"""The command line: python -m studylib COMMAND. The Makefile calls these; errors are one sentence."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from studylib.errors import StudyError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
Scale = Annotated[str, typer.Option(help="A file of params/: smoke, mini or paper.")]
Seed = Annotated[int, typer.Option(help="The training seed.")]


@app.callback()
def _under_make() -> None:
    if "STUDY_MAKE_PID" in os.environ:
        from studylib.chapters import die_with

        die_with(int(os.environ["STUDY_MAKE_PID"]))


def _study(scale: str, seed: int, changes: list[str] | None = None):
    from studylib.study import Study

    overrides = {}
    for change in changes or []:
        key, _, value = change.partition("=")
        try:
            overrides[key] = json.loads(value)
        except ValueError:
            raise StudyError(f"--set {change}: the value must be JSON, as in --set rl.beta=0.02.") from None
    return Study(scale, seed, overrides)


def threads(makeflags: str) -> int:
    """Threads of one stage: all cores, shared out where make runs several side by side."""
    side_by_side = re.search(r"-j ?(\d+)", makeflags)
    return max(1, len(os.sched_getaffinity(0)) // (int(side_by_side[1]) if side_by_side else 1))


@app.command()
def stage(
    names: list[str],
    scale: Scale = "mini",
    seed: Seed = 1,
    change: Annotated[list[str] | None, typer.Option("--set", help="Override a key: rl.beta=0.02.")] = None,
) -> None:
    """Make stages, and what they need, unless they are published."""
    os.environ.setdefault("OMP_NUM_THREADS", str(threads(os.environ.get("MAKEFLAGS", ""))))
    os.environ |= {"TQDM_DISABLE": "1", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}
    from studylib.study import make

    study = _study(scale, seed, change)
    for name in [study.stage(name) for name in names]:
        print(make(name, study.params, study.root).path)


@app.command()
def stages(scale: Scale = "mini", seed: Seed = 1) -> None:
    """Make every stage of one seed."""
    study = _study(scale, seed)
    study.run(*study.plan)


@app.command()
def plan(scale: Scale = "mini", seed: Seed = 1) -> None:
    """Every stage of the study, and what each needs."""
    for name, node in _study(scale, seed).plan.items():
        needs = " ".join(source.label for source in node.inputs.values())
        print(f"{name:28} {node.kind:10} {node.identity[:10]}  {needs}")


@app.command()
def status(scale: Scale = "mini", seed: Seed = 1) -> None:
    """What is published, what was cut off, what is missing."""
    from studylib import runs

    study = _study(scale, seed)
    for name, node in study.plan.items():
        folder = runs.folder(node, study.root)
        begun = (study.root / ".work" / node.identity[:16]).exists()
        said = "published" if folder.exists() else "begun" if begun else "missing"
        seconds = f"{runs.load(folder).manifest['seconds']:8.1f} s" if folder.exists() else ""
        print(f"{name:28} {said:10} {seconds}")


@app.command()
def chapter(number: str, scale: Scale = "mini", seed: Seed = 1) -> None:
    """Execute one chapter by papermill, unless it is published."""
    from studylib.chapters import chapter_named, run_chapter

    print(run_chapter(chapter_named(number), _study(scale, seed)).path)


@app.command()
def study(scale: Scale = "mini", seed: Seed = 1, make: str = "make") -> None:
    """Every chapter and stage, then the wall times and the comparison with the reference."""
    from studylib.chapters import study_all
    from studylib.reference import compare as compare_tables

    whole = _study(scale, seed)
    study_all(whole, make)
    compare_tables(whole)


@app.command()
def read(scale: Scale = "mini", seed: Seed = 1) -> None:
    """Draw every chapter from the committed reference."""
    from studylib.chapters import read_chapters

    read_chapters(_study(scale, seed))


@app.command()
def compare(scale: Scale = "mini", seed: Seed = 1) -> None:
    """This run's tables against the reference's."""
    from studylib.reference import compare as compare_tables

    raise typer.Exit(0 if compare_tables(_study(scale, seed)) else 1)


@app.command()
def reference(scale: Scale = "mini", seed: Seed = 1) -> None:
    """Write this run's light outputs to outputs/SCALE."""
    from studylib.reference import write_reference

    write_reference(_study(scale, seed))


@app.command()
def grade(rows: Path, jobs: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1) -> None:
    """Grade a JSONL file of rows with their responses: one JSON row each."""
    from studylib.grading import grade_file

    grade_file(rows, jobs=jobs)


def main() -> None:
    try:
        app()
    except StudyError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
