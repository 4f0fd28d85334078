"""The data that training makes for training: distilled, filtered, mixed."""

from typing import TYPE_CHECKING

from studylib.errors import StudyError
from studylib.params.load import Params
from studylib.store.files import load_rows, read_table, save_rows
from studylib.store.store import Run, Work

if TYPE_CHECKING:
    from datasets import Dataset


def distill(work: Work, params: Params) -> None:
    """Eureka-Distill: the shortest correct response of each query becomes its trace (paper 2.1)."""
    from studylib.train.mixing import shortest_correct

    rows = load_rows(work.inputs["questions"])
    answers = _answers(work.inputs["responses"], work.inputs["grades"])
    responses = [answers[name] for name in rows["id"]]
    kept = shortest_correct(_places(rows), responses, responses)
    if not kept:
        raise StudyError(
            f"None of the {sum(map(len, responses))} responses of the careful SFT model is correct: there is "
            "nothing to distil; train it longer (sft.epochs of the arm sft_careful)."
        )
    save_rows(_with(rows, kept, "trace"), work.path)
    work.facts |= {"queries": len(rows), "kept": len(kept)}


def no_easy(work: Work, params: Params) -> None:
    """The queries without those that the base solves every time (paper 2.2, ablation)."""
    grades = read_table(work.inputs["grades"], "grades")
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
    by_query = _answers(work.inputs["traces"], work.inputs["trace_grades"])
    traces = {name: [a.text for a in given if a.outcome == "correct"] for name, given in by_query.items()}
    responses = [answers[name] for name in rows["id"]]
    mixed = mixing.mix(_places(rows), responses, responses, traces)
    if not mixed:
        raise StudyError("Neither the RL model nor the traces answer a query correctly: train rl longer (rl.steps).")
    save_rows(_with(rows, mixed, "trace", "source"), work.path)
    from_rl = sum(row["source"] == "rl" for row in mixed)
    work.facts |= {"queries": len(rows), "from_rl": from_rl, "from_traces": len(mixed) - from_rl}


def _places(rows: "Dataset") -> list[dict]:
    return [{"id": name, "place": place} for place, name in enumerate(rows["id"])]


def _with(rows: "Dataset", chosen: list[dict], *columns: str) -> "Dataset":
    """The rows at the chosen places with columns of these; pictures are passed on as the files that they are."""
    kept = rows.select([row["place"] for row in chosen])
    for column in columns:
        kept = kept.add_column(column, [row[column] for row in chosen])
    return kept


def _answers(responses: Run, grades: Run) -> dict[str, list]:
    """Responses with `.text`, `.tokens` and `.outcome`, in order, by query."""
    graded = read_table(responses, "responses").assign(outcome=read_table(grades, "grades")["outcome"])
    return {name: list(group.itertuples()) for name, group in graded.groupby("question_id", sort=False)}
