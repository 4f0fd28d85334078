"""Stages that train a model, one function per method."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from studylib.params.load import Params
from studylib.params.schema import Interleaved, Progressive, Rl, Sft
from studylib.store.files import load_rows, model_of, read_table
from studylib.store.store import Work

if TYPE_CHECKING:
    from datasets import Dataset


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
    settings = {"config": config, "weight": wanted.weight, "everywhere": wanted.everywhere}
    _train(train_interleaved, work, params, load_rows(work.inputs["data"]), **settings)


def progressive(work: Work, params: Params) -> None:
    """GRPO from shrinking prefixes where the base's pass rate is 0; publishes as `grpo` does (paper 3)."""
    from studylib.train.progressive import cut, train_progressive

    config, wanted = Rl(**work.stage.params["rl"]), Progressive(**work.stage.params["progressive"])
    grades = read_table(work.inputs["grades"], "grades")
    rates = (grades["outcome"] == "correct").groupby(grades["question_id"]).mean()
    rows = load_rows(work.inputs["data"])
    rows = rows.add_column("pass_rate", [float(rates[name]) for name in rows["id"]])
    hard = [trace for trace, rate in zip(rows["trace"], rows["pass_rate"], strict=True) if rate == 0]
    work.facts |= {"hard": len(hard), "hard_with_prefix": sum(bool(cut(trace, 1.0)) for trace in hard)}
    _train(train_progressive, work, params, rows, config=config, weight=wanted.weight, until=wanted.until)


def _train(train: Callable[..., dict], work: Work, params: Params, rows: "Dataset", **settings: Any) -> None:
    """Trains from the stage's start; the trainer's facts go into the manifest."""
    start, seed = model_of(work.inputs, params), work.stage.seed
    work.facts |= train(start, rows, work.path, seed=seed, report=work.report, **settings, **work.launched)
