"""What the stages do that train a model, merge two, or make the data for it: one function a kind of stage."""

import shutil
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from studylib.artefacts import base_path, load_rows, model_of, save_rows
from studylib.errors import StudyError
from studylib.params import Interleaved, Merging, Params, Progressive, Rl, Sft
from studylib.runs import Run
from studylib.work import Work


def sft(work: Work, params: Params) -> None:
    """Long-CoT SFT; publishes `epoch-1` ... and `log.jsonl` (paper 2.1)."""
    from studylib.train.sft import train_sft

    _train(train_sft, work, params, load_rows(work.inputs["data"]), config=Sft(**work.stage.params["sft"]))


def grpo(work: Work, params: Params) -> None:
    """GRPO; publishes `step-...` and `log.jsonl` (paper 2.2)."""
    from studylib.train.grpo import train_grpo

    _train(train_grpo, work, params, load_rows(work.inputs["data"]), config=Rl(**work.stage.params["rl"]))


def interleaved(work: Work, params: Params) -> None:
    """GRPO with the SFT loss on the traces of failed questions; publishes as `grpo` does (paper 3)."""
    from studylib.train.interleaved import train_interleaved

    config, wanted = Rl(**work.stage.params["rl"]), Interleaved(**work.stage.params["interleaved"])
    asked = {"config": config, "weight": wanted.weight, "everywhere": wanted.everywhere}
    _train(train_interleaved, work, params, load_rows(work.inputs["data"]), **asked)


def progressive(work: Work, params: Params) -> None:
    """GRPO from shrinking prefixes where the base's pass rate is 0; publishes as `grpo` does (paper 3)."""
    from studylib.train.progressive import cut, train_progressive

    config, wanted = Rl(**work.stage.params["rl"]), Progressive(**work.stage.params["progressive"])
    grades = _table(work.inputs["grades"], "grades")
    rates = (grades["outcome"] == "correct").groupby(grades["question_id"]).mean()
    rows = [{**row, "pass_rate": float(rates[row["id"]])} for row in load_rows(work.inputs["data"])]
    hard = [row for row in rows if row["pass_rate"] == 0]
    work.facts |= {"hard": len(hard), "hard_with_prefix": sum(bool(cut(row["trace"], 1.0)) for row in hard)}
    _train(train_progressive, work, params, rows, config=config, weight=wanted.weight, until=wanted.until)


def _train(train: Callable[..., dict], work: Work, params: Params, rows: Iterable[dict], **asked: Any) -> None:
    """Trains from the stage's start; the trainer's facts go into the manifest."""
    start, seed = model_of(work.inputs, params), work.stage.seed
    work.facts |= train(start, list(rows), work.path, seed=seed, report=work.report, **asked, **work.launched)


def merging(work: Work, params: Params) -> None:
    """A model a method and SFT share, such as `linear-0.25`, of the parents' chosen checkpoints (paper 3)."""
    from studylib.train.merging import merge

    wanted = Merging(**work.stage.params["merging"])
    parents = {
        role: model_of({"model": work.inputs[role], "select": work.inputs[f"{role}_select"]}, params)
        for role in ("sft", "rl")
    }
    grid = {f"{method}-{share:g}": (method, share) for method in wanted.methods for share in wanted.shares}
    for cut_off in work.path.glob("writing*"):
        shutil.rmtree(cut_off)
    for done, (name, (method, share)) in enumerate(grid.items(), 1):
        if not (work.path / name).exists():
            out = work.path / "writing"
            told = merge(
                parents["sft"],
                parents["rl"],
                base_path(params),
                out,
                method=method,
                share=share,
                density=wanted.density,
            )
            work.facts |= {f"tensors_{key}": value for key, value in told.items()}
            out.rename(work.path / name)
        work.progress(done, len(grid), "models merged")
    work.facts |= {"checkpoints": list(grid)}


def distill(work: Work, params: Params) -> None:
    """Eureka-Distill: the shortest correct response of each query becomes its trace (paper 2.1)."""
    from studylib.train.distill import shortest_correct

    rows = load_rows(work.inputs["questions"])
    answers = _answers(work.inputs["responses"], work.inputs["grades"])
    asked = [answers[name] for name in rows["id"]]
    kept = shortest_correct([{"place": place} for place in range(len(rows))], asked, asked)
    if not kept:
        raise StudyError(
            f"None of the {sum(map(len, asked))} responses of the careful SFT model is correct: there is "
            "nothing to distil; train it longer (sft.epochs of the arm sft_careful)."
        )
    chosen = rows.select([row["place"] for row in kept])
    save_rows(chosen.add_column("trace", [row["trace"] for row in kept]), work.path)
    work.facts |= {"queries": len(rows), "kept": len(kept)}


def no_easy(work: Work, params: Params) -> None:
    """The queries without those that the base solves every time (paper 2.2, ablation)."""
    grades = _table(work.inputs["grades"], "grades")
    always = (grades["outcome"] == "correct").groupby(grades["question_id"]).all()
    easy, rows = set(always[always].index), load_rows(work.inputs["data"])
    kept = [i for i, name in enumerate(rows["id"]) if name not in easy]
    if not kept:
        raise StudyError("The base solves every query every time: there is no query left for rl_no_easy.")
    save_rows(rows.select(kept), work.path)
    work.facts |= {"queries": len(rows), "kept": len(kept)}


def mix(work: Work, params: Params) -> None:
    """The RL model's correct answers, and every correct trace of a query where it has none (paper 3)."""
    from studylib.train import mixing

    rows = load_rows(work.inputs["questions"])
    answers = _answers(work.inputs["responses"], work.inputs["grades"])
    told = _answers(work.inputs["traces"], work.inputs["trace_grades"])
    traces = {name: [a.text for a in given if a.outcome == "correct"] for name, given in told.items()}
    asked = [answers[name] for name in rows["id"]]
    places = [{"id": name, "place": place} for place, name in enumerate(rows["id"])]
    mixed = mixing.mix(places, asked, asked, traces)
    if not mixed:
        raise StudyError("Neither the RL model nor the traces answer a query correctly: train rl longer (rl.steps).")
    kept = rows.select([row["place"] for row in mixed])
    for column in ("trace", "source"):
        kept = kept.add_column(column, [row[column] for row in mixed])
    save_rows(kept, work.path)
    from_rl = sum(row["source"] == "rl" for row in mixed)
    work.facts |= {"queries": len(rows), "from_rl": from_rl, "from_traces": len(mixed) - from_rl}


def _answers(responses: Run, grades: Run) -> dict[str, list]:
    """Responses with `.text`, `.tokens` and `.outcome`, in order, by query."""
    graded = _table(responses, "responses").assign(outcome=_table(grades, "grades")["outcome"])
    return {name: list(group.itertuples()) for name, group in graded.groupby("question_id", sort=False)}


def _table(run: Run, name: str) -> pd.DataFrame:
    return pd.read_parquet(run.path / f"{name}.parquet")
