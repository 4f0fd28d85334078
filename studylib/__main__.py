"""The command line: python -m studylib COMMAND. The Makefile calls these; errors are one sentence."""

import json
import os
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
        from studylib.store.machine import die_with

        die_with(int(os.environ["STUDY_MAKE_PID"]))


def _study(scale: str, seed: int, changes: list[str] | None = None):
    from studylib.study.notebook import Study

    overrides = {}
    for change in changes or []:
        key, _, value = change.partition("=")
        try:
            overrides[key] = json.loads(value)
        except ValueError:
            raise StudyError(f"--set {change}: the value must be JSON, as in --set rl.beta=0.02.") from None
    return Study(scale, seed, overrides)


@app.command()
def stage(
    names: list[str],
    scale: Scale = "mini",
    seed: Seed = 1,
    change: Annotated[list[str] | None, typer.Option("--set", help="Override a key: rl.beta=0.02.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes side by side; one a core.")] = None,
    worker: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Make stages, and what they need, unless they are published; with LAUNCH=slurm as jobs of a cluster."""
    from studylib.paths import reference_root
    from studylib.study import slurm
    from studylib.study.workers import side_by_side, work_through, worker_count

    study = _study(scale, seed, change)
    wanted, reference = [study.stage(name) for name in names], reference_root(scale)
    if os.environ.get("LAUNCH") == "slurm":
        slurm.run(wanted, study.params, study.root, lambda node: _one_stage(node, study, change or []))
    elif worker:
        work_through(wanted, study.params, study.root, reference)
    else:
        command = [sys.executable, "-m", "studylib", *sys.argv[1:], "--worker"]
        side_by_side(wanted, command, workers or worker_count(), study.root, reference)


def _one_stage(node, study, changes: list[str]) -> list[str]:
    """The command that makes one stage of the plan, which may be another seed's."""
    seed = study.seed if node.seed is None else node.seed
    asked = [word for change in changes for word in ("--set", change)]
    command = [sys.executable, "-m", "studylib", "stage", node.name]
    return [*command, "--scale", study.scale, "--seed", str(seed), *asked]


@app.command()
def stages(scale: Scale = "mini", seed: Seed = 1) -> None:
    """Make every stage of one seed."""
    study = _study(scale, seed)
    study.run(*study.plan)


@app.command()
def plan(scale: Scale = "mini", seed: Seed = 1) -> None:
    """Every stage and what each needs; for the hardware of the params also its memory, GPU-hours and disk."""
    study = _study(scale, seed)
    for name, node in study.plan.items():
        needs = " ".join(source.label for source in node.inputs.values())
        print(f"{name:28} {node.kind:13} {node.identity[:10]}  {needs}")
    if study.params.hardware:
        from studylib.study.budget import report

        print()
        for line in report(study.params, study.plan):
            print(line)


@app.command()
def status(scale: Scale = "mini", seed: Seed = 1) -> None:
    """What is published, what was cut off, what is missing."""
    from studylib.store import store

    study = _study(scale, seed)
    for name, node in study.plan.items():
        folder = store.folder(node, study.root)
        begun = (study.root / ".work" / node.identity[:16]).exists()
        said = "published" if folder.exists() else "begun" if begun else "missing"
        seconds = f"{store.load(folder).manifest['seconds']:8.1f} s" if folder.exists() else ""
        print(f"{name:28} {said:10} {seconds}")


@app.command()
def chapter(number: str, scale: Scale = "mini", seed: Seed = 1) -> None:
    """Execute one chapter by papermill, unless it is published."""
    from studylib.study.chapters import chapter_named, run_chapter

    print(run_chapter(chapter_named(number), _study(scale, seed)).path)


@app.command()
def study(scale: Scale = "mini", seed: Seed = 1, make: str = "make") -> None:
    """Every chapter and stage, then the wall times and the comparison with the reference."""
    from studylib.study.chapters import study_all
    from studylib.study.reference import compare as compare_tables

    whole = _study(scale, seed)
    study_all(whole, make)
    compare_tables(whole)


@app.command()
def read(scale: Scale = "mini", seed: Seed = 1) -> None:
    """Draw every chapter from the committed reference."""
    from studylib.study.chapters import read_chapters

    read_chapters(_study(scale, seed))


@app.command()
def compare(scale: Scale = "mini", seed: Seed = 1) -> None:
    """This run's tables against the reference's."""
    from studylib.study.reference import compare as compare_tables

    raise typer.Exit(0 if compare_tables(_study(scale, seed)) else 1)


@app.command()
def reference(scale: Scale = "mini", seed: Seed = 1) -> None:
    """Write this run's light outputs to outputs/SCALE."""
    from studylib.study.reference import write_reference

    write_reference(_study(scale, seed))


@app.command()
def export(
    arms: Annotated[list[str] | None, typer.Argument(help="Arms, or base; none: all that have results.")] = None,
    scale: Scale = "mini",
    seed: Seed = 1,
) -> None:
    """Write test results in the shapes of VLMEvalKit, lm-evaluation-harness and Inspect, into runs/SCALE/export."""
    from studylib.share.export import export as write

    study = _study(scale, seed)
    there = [name.removesuffix(".grades") for name in study.plan if name.endswith(".grades") and study.has(name)]
    tested = [name for name in there if study.plan[f"{name}.grades"].inputs["questions"].name == "questions.test"]
    for arm in arms or tested:
        files = write(study, arm, study.root / "export")
        print(f"{arm}: {len(files)} files in {study.root / 'export'}")


@app.command()
def publish(
    arms: list[str],
    owner: Annotated[str, typer.Option(help="The user or organisation on the hub.")],
    scale: Scale = "mini",
    seed: Seed = 1,
    push: Annotated[bool, typer.Option("--push", help="Really send it; without, only say what would be sent.")] = False,
) -> None:
    """Put weights, card and manifests of trained arms into runs/SCALE/publish, and on the hub if told to."""
    from studylib.share.cards import assemble, refuse_secrets
    from studylib.share.cards import push as send

    study = _study(scale, seed)
    for arm in arms:
        folder = assemble(study, arm, study.root / "publish", owner)
        refuse_secrets(folder)
        if push:
            print(f"{arm}: {send(folder, f'{owner}/{folder.name}')}")
            continue
        files = [file for file in folder.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files) / 2**20
        print(
            f"{arm}: {len(files)} files, {size:.1f} MiB in {folder}; "
            f"{owner}/{folder.name} was not touched: PUSH=1 sends them."
        )


@app.command()
def dry_run() -> None:
    """Run every stage of params/paper.yaml on small things, in two processes."""
    from tests.paper.dry_run import dry_run as run

    run()


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
