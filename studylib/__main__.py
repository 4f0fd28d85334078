"""The command line: python -m studylib COMMAND. The Makefile calls these; errors are one sentence."""

import json
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from studylib.errors import StudyError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
Scale = Annotated[str, typer.Option(help="A file of params/: smoke, mini or paper.")]
Seed = Annotated[int, typer.Option(help="The training seed.")]


def _study(scale: str, seed: int, changes: list[str] | None = None, train: bool = True):
    from studylib.study.notebook import Study

    overrides = {}
    for change in changes or []:
        key, _, value = change.partition("=")
        try:
            overrides[key] = json.loads(value)
        except ValueError:
            raise StudyError(
                f"--set {change}: the value must be JSON, as in --set rl.beta=0.02; a text needs quotes of its own, as "
                """in --set 'engine.name="vllm"'."""
            ) from None
    return Study(scale, seed, train, overrides)


@app.command()
def stage(
    names: list[str],
    scale: Scale = "mini",
    seed: Seed = 1,
    change: Annotated[list[str] | None, typer.Option("--set", help="Override a key: rl.beta=0.02.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes side by side; one a core.")] = None,
) -> None:
    """Make stages, and what they need, unless they are published."""
    _make(_study(scale, seed, change), names, workers)


@app.command()
def stages(scale: Scale = "mini", seed: Seed = 1) -> None:
    """Make every stage of one seed."""
    study = _study(scale, seed)
    _make(study, study.plan)


def _make(study, names: Iterable[str], workers: int | None = None) -> None:
    from studylib.paths import reference_root
    from studylib.study.workers import side_by_side, worker_count

    stages = [study.stage(name) for name in names]
    side_by_side(stages, study.params, study.root, reference_root(study.scale), workers or worker_count())


@app.command()
def plan(scale: Scale = "mini", seed: Seed = 1) -> None:
    """Every stage: what it needs, and its wall time and memory where it is published; for the hardware of the params
    also the memory, GPU-hours and disk that it takes."""
    study = _study(scale, seed)
    _list(study)
    if study.params.hardware:
        from studylib.study.budget import report

        print()
        for line in report(study.params, study.plan):
            print(line)


def _list(study) -> None:
    from studylib.store import store
    from studylib.study.chapters import chapter_stage, chapters

    total = 0.0
    for node in [*study.plan.values(), *(chapter_stage(notebook, study) for notebook in chapters())]:
        state = "begun" if store.work_folder(node, study.root).exists() else "missing"
        if (folder := store.folder(node, study.root)).exists():
            manifest = store.load(folder).manifest
            total += manifest["seconds"] if node.kind != "chapter" else 0
            state = f"{manifest['seconds']:.1f} s, {manifest['peak_memory_gib']:.2f} GiB"
        needs = " ".join(source.label for source in node.inputs.values())
        print(f"{node.label:32} {node.kind:13} {node.identity[:10]}  {state:20}  {needs}".rstrip())
    print(f"published stages took {total:.0f} s (chapters wait for theirs)")


@app.command()
def pin(scale: Scale = "paper") -> None:
    """All commits, columns and level columns that the params of a scale need, and a block of YAML with them."""
    from studylib.params.load import load_params
    from studylib.study.pin import block, pins, table

    made = []
    for pinned in pins(load_params(scale)):
        made.append(pinned)
        print("\n".join(table([pinned])), flush=True)
    missing = [pinned.key for pinned in made if pinned.problem]
    without = f"; without {', '.join(missing)}" if missing else ""
    print(f"\n# For params/{scale}.yaml, in place of the same keys{without}")
    print(block([pinned for pinned in made if not pinned.problem]), end="")
    raise typer.Exit(1 if missing else 0)


@app.command()
def chapter(number: str, scale: Scale = "mini", seed: Seed = 1) -> None:
    """Execute one chapter by papermill, unless it is published."""
    from studylib.study.chapters import chapter_named, run_chapters

    for run in run_chapters([chapter_named(number)], _study(scale, seed)):
        print(run.path)


@app.command()
def study(scale: Scale = "mini", seed: Seed = 1) -> None:
    """Every chapter and stage, then the wall times and the comparison with the reference."""
    from studylib.study.chapters import study_all
    from studylib.study.reference import compare as compare_tables

    whole = _study(scale, seed)
    study_all(whole)
    _list(whole)
    compare_tables(whole)


@app.command()
def read(scale: Scale = "mini", seed: Seed = 1) -> None:
    """Draw every chapter from the committed reference."""
    from studylib.study.chapters import read_chapters

    read_chapters(_study(scale, seed, train=False))


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
    """Put weights, card and manifests of trained arms into runs/SCALE/publish, and on the hub with `push`."""
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
def grade(rows: Path, jobs: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1) -> None:
    """Grade a JSONL file of rows with their responses: one JSON row each."""
    from studylib.grading import grade_file

    grade_file(rows, jobs=jobs)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that workers are ended with this process
    try:
        app()
    except StudyError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
