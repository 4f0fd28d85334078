"""Test results in the shapes that VLMEvalKit and lm-evaluation-harness leave, for the tools that read those.

    <out>/vlmevalkit/sample-0/<model>/<model>_<dataset>.tsv     one prediction a question: a folder a sample
    <out>/lm_eval/<model>/results_<when>.json                   accuracy a benchmark
    <out>/lm_eval/<model>/samples_<task>_<when>.jsonl           every response

The grades are ours: neither library has graded anything here.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from studylib.analysis.difficulty import accuracy
from studylib.analysis.scores import KEY
from studylib.engine.prompts import INSTRUCTION
from studylib.study.notebook import Study

# The names under which VLMEvalKit knows the paper's benchmarks and splits, where they are not our own.
DATASETS = {"MathVerse": "MathVerse_MINI", "MathVista": "MathVista_MINI", "MMMU": "MMMU_DEV_VAL"}
METRIC = "exact_match"


def export(study: Study, arm: str, out: Path) -> list[Path]:
    """Writes the test results of an arm in both shapes; gives the files. Runs what is missing."""
    scores = study.scores(arm)
    responses = study.table(f"{arm}.responses")
    grades = study.table(f"{arm}.grades")
    answered = responses.merge(grades[[*KEY, "extracted", "outcome"]], on=KEY)
    questions = study.table("questions.test").set_index("id", drop=False)
    name = model_name(study, arm)
    files = []
    for benchmark, part in answered.groupby("benchmark", sort=False):
        asked = questions[questions["benchmark"] == benchmark]
        files += _vlmevalkit(out / "vlmevalkit", name, benchmark, asked, part)
    return files + _lm_eval(study, out / "lm_eval" / name, arm, questions, answered, accuracy(scores))


def model_name(study: Study, arm: str) -> str:
    """What an arm is called outside of this study; it says its scale: a mini result never passes for the paper's."""
    seed = study.stage(f"{arm}.responses").seed
    return f"synergy-{study.scale}-{arm}".replace("_", "-") + ("" if seed is None else f"-s{seed}")


def _vlmevalkit(out: Path, name: str, benchmark: str, asked: pd.DataFrame, answered: pd.DataFrame) -> list[Path]:
    """A prediction file for each sample, from which VLMEvalKit can grade anew, and its accuracy by our grades."""
    dataset, files = DATASETS.get(benchmark, benchmark), []
    known = pd.DataFrame([_vlmevalkit_row(row) for row in asked.to_dict("records")], index=asked["id"])
    for sample, part in answered.groupby("sample"):
        folder = out / f"sample-{sample}" / name
        folder.mkdir(parents=True, exist_ok=True)
        part = part.set_index("question_id")
        table = known.loc[known.index.isin(part.index)].assign(
            prediction=part["text"], res=part["extracted"], log=part["outcome"], hit=(part["outcome"] == "correct") * 1
        )
        paths = [folder / f"{name}_{dataset}.tsv", folder / f"{name}_{dataset}_acc.csv"]
        table.to_csv(paths[0], sep="\t", index=False)
        pd.DataFrame({"split": ["none"], "Overall": [table["hit"].mean()]}).to_csv(paths[1], index=False)
        files += paths
    return files


def _vlmevalkit_row(row: dict[str, Any]) -> dict[str, Any]:
    """A question in VLMEvalKit's columns: choices in A, B, ... and not in the question; index as in the data set."""
    choices = [str(choice) for choice in row["choices"]]
    stem = re.split(r"\n\(A\) ", row["question"])[0] if choices else row["question"]
    return {
        "index": row["id"].removeprefix(f"{row['benchmark'].lower()}-{row['split']}-"),
        "question": stem,
        "answer": row["answer"],
        "question_type": row["question_type"],
        "answer_type": row["answer_type"],
        **{"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i]: choice for i, choice in enumerate(choices)},
    }


def _lm_eval(
    study: Study, folder: Path, arm: str, questions: pd.DataFrame, answered: pd.DataFrame, scored: pd.DataFrame
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    stage = study.get(f"{arm}.responses").manifest
    identity = study.stage(f"{arm}.grades").identity[:10]  # in place of a time: the same results, the same file
    files = []
    for benchmark, part in answered.groupby("benchmark", sort=False):
        files.append(folder / f"samples_{benchmark}_{identity}.jsonl")
        rows = _lm_eval_samples(questions, part, stage["params"])
        files[-1].write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    files.append(folder / f"results_{identity}.json")
    files[-1].write_text(json.dumps(_lm_eval_results(folder.name, stage, answered, scored), indent=2))
    return files


def _lm_eval_samples(questions: pd.DataFrame, answered: pd.DataFrame, asked: dict) -> Iterator[dict[str, Any]]:
    """A line a question: all its responses in `resps`, what was read of them in `filtered_resps`, the share right."""
    settings = {**asked["sampling"], "do_sample": True}
    for number, (name, part) in enumerate(answered.groupby("question_id", sort=False)):
        row = questions.loc[name]
        doc = {key: row[key] for key in ("id", "benchmark", "question", "question_type", "answer")}
        doc["choices"] = [str(choice) for choice in row["choices"]]
        prompt = f"{row['question']}\n{INSTRUCTION}" if asked["instruct"] else row["question"]
        yield {
            "doc_id": number,
            "doc": doc,
            "target": row["answer"],
            "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": settings}},
            "resps": [part["text"].tolist()],
            "filtered_resps": [None if found != found else found for found in part["extracted"]],
            "filter": "none",
            "metrics": [METRIC],
            "doc_hash": _hash(json.dumps(doc, sort_keys=True)),
            "prompt_hash": part["prompt_hash"].iloc[0],
            "target_hash": _hash(row["answer"]),
            METRIC: float((part["outcome"] == "correct").mean()),
        }


def _lm_eval_results(name: str, stage: dict[str, Any], answered: pd.DataFrame, scored: pd.DataFrame) -> dict[str, Any]:
    tasks = list(answered["benchmark"].unique())
    cells = scored.set_index("benchmark")
    repeats = int(answered.groupby("question_id").size().iloc[0])
    counts = answered.groupby("benchmark")["question_id"].nunique()
    sizes = {task: {"original": int(counts[task]), "effective": int(counts[task])} for task in tasks}
    return {
        "results": {
            task: {
                "alias": task,
                f"{METRIC},none": round(cells.loc[task, "estimate"] / 100, 6),
                f"{METRIC}_stderr,none": round(cells.loc[task, "se"] / 100, 6),  # clustered by problem
            }
            for task in tasks
        },
        "group_subtasks": {task: [] for task in tasks},
        "configs": {
            task: {
                "task": task,
                "output_type": "generate_until",
                "generation_kwargs": {**stage["params"]["sampling"], "do_sample": True},
                "repeats": repeats,
                "metric_list": [{"metric": METRIC, "aggregation": "mean", "higher_is_better": True}],
            }
            for task in tasks
        },
        "versions": {task: stage["identity"][:10] for task in tasks},
        "n-shot": {task: 0 for task in tasks},
        "higher_is_better": {task: {METRIC: True} for task in tasks},
        "n-samples": sizes,
        "config": {"model": stage["params"]["engine"]["name"], "model_args": f"pretrained={name}"},
        "git_hash": stage["git_commit"],
        "model_source": stage["params"]["engine"]["name"],
        "model_name": name,
        "model_name_sanitized": name,
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
