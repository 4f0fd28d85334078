"""Test results in the shapes that VLMEvalKit, lm-evaluation-harness and Inspect leave, for the tools that read those.

    <out>/vlmevalkit/sample-0/<model>/<model>_<dataset>.tsv     one prediction a question: a folder a sample
    <out>/lm_eval/<model>/results_<when>.json                   accuracy a benchmark
    <out>/lm_eval/<model>/samples_<task>_<when>.jsonl           every response
    <out>/inspect/<when>_<task>_<model>.json                    every response: inspect view --log-dir <out>/inspect

The grades are ours: none of these libraries has graded anything here.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
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
    """Writes the test results of an arm in all shapes; gives the files. Runs what is missing."""
    scores = study.scores(arm)
    responses = study.table(f"{arm}.responses")
    grades = study.table(f"{arm}.grades")
    answered = responses.merge(grades[[*KEY, "extracted", "outcome"]], on=KEY)
    questions = study.table("questions.test").set_index("id", drop=False)
    name = model_name(study, arm)
    files = []
    for benchmark, part in answered.groupby("benchmark", sort=False):
        posed = questions[questions["benchmark"] == benchmark]
        files += _vlmevalkit(out / "vlmevalkit", name, benchmark, posed, part)
    scored = accuracy(scores)
    files += _lm_eval(study, out / "lm_eval" / name, arm, questions, answered, scored)
    return files + _inspect(study, out / "inspect", arm, questions, answered, scored)


def model_name(study: Study, arm: str) -> str:
    """What an arm is called outside of this study; it says its scale: a mini result never passes for the paper's."""
    seed = study.stage(f"{arm}.responses").seed
    return f"synergy-{study.scale}-{arm}".replace("_", "-") + ("" if seed is None else f"-s{seed}")


def _vlmevalkit(out: Path, name: str, benchmark: str, questions: pd.DataFrame, answered: pd.DataFrame) -> list[Path]:
    """A prediction file for each sample, from which VLMEvalKit can grade anew, and its accuracy by our grades."""
    dataset, files = DATASETS.get(benchmark, benchmark), []
    known = pd.DataFrame([_vlmevalkit_row(row) for row in questions.to_dict("records")], index=questions["id"])
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


def _lm_eval_samples(questions: pd.DataFrame, answered: pd.DataFrame, params: dict) -> Iterator[dict[str, Any]]:
    """A line a question: all its responses in `resps`, what was read of them in `filtered_resps`, the share right."""
    settings = {**params["sampling"], "do_sample": True}
    for number, (name, part) in enumerate(answered.groupby("question_id", sort=False)):
        row = questions.loc[name]
        doc = {key: row[key] for key in ("id", "benchmark", "question", "question_type", "answer")}
        doc["choices"] = [str(choice) for choice in row["choices"]]
        yield {
            "doc_id": number,
            "doc": doc,
            "target": row["answer"],
            "arguments": {"gen_args_0": {"arg_0": _prompt(row, params), "arg_1": settings}},
            "resps": [part["text"].tolist()],
            "filtered_resps": [None if answer != answer else answer for answer in part["extracted"]],
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


def _prompt(row: Any, params: dict[str, Any]) -> str:
    return f"{row['question']}\n{INSTRUCTION}" if params["instruct"] else row["question"]


def _inspect(
    study: Study, folder: Path, arm: str, questions: pd.DataFrame, answered: pd.DataFrame, scored: pd.DataFrame
) -> list[Path]:
    """A log a benchmark in Inspect's JSON format, version 2; each run of a question is one of its epochs."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest, name = study.get(f"{arm}.responses").manifest, model_name(study, arm)
    identity, cells = study.stage(f"{arm}.grades").identity[:10], scored.set_index("benchmark")
    files = []
    for benchmark, part in answered.groupby("benchmark", sort=False):
        metrics = {"accuracy": cells.loc[benchmark, "estimate"] / 100, "stderr": cells.loc[benchmark, "se"] / 100}
        samples = [_inspect_sample(questions.loc[row["question_id"]], row, manifest, name) for row in _records(part)]
        log = _inspect_log(benchmark, identity, name, manifest, samples, metrics)
        when = log["eval"]["created"].replace(":", "-")  # no log to Inspect without it
        files.append(folder / f"{when}_{benchmark}_{name}-{identity}.json")
        files[-1].write_text(json.dumps(log, ensure_ascii=False))
    return files


def _records(part: pd.DataFrame) -> list[dict[str, Any]]:
    return part.astype(object).where(part.notna(), None).to_dict("records")


def _inspect_log(
    benchmark: str, identity: str, name: str, manifest: dict[str, Any], samples: list[dict], metrics: dict[str, float]
) -> dict[str, Any]:
    sampling = manifest["params"]["sampling"]
    settings = {key: sampling[key] for key in ("temperature", "top_p", "top_k")} | {
        "max_tokens": sampling["max_new_tokens"]
    }
    score = {
        "name": METRIC,
        "scorer": METRIC,
        "reducer": "mean",
        "scored_samples": len({sample["id"] for sample in samples}),
        "metrics": {key: {"name": key, "value": round(float(value), 6)} for key, value in metrics.items()},
    }
    written = manifest["files"]["responses.parquet"]["written"]
    when = datetime.fromtimestamp(written // 10**9, UTC).isoformat()
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": f"{identity}-{benchmark}",
            "run_id": identity,
            "task_id": f"{identity}-{benchmark}",
            "created": when,
            "task": benchmark,
            "dataset": {"name": benchmark, "samples": score["scored_samples"]},
            "model": f"vllm/{name}",
            "model_generate_config": settings,
            "config": {"epochs": max(sample["epoch"] for sample in samples), "epochs_reducer": ["mean"]},
            "packages": manifest["packages"],
            "metadata": {"git_commit": manifest["git_commit"], "stage": manifest["identity"]},
        },
        "plan": {"name": "plan", "steps": [{"solver": "generate"}], "config": settings},
        "results": {"total_samples": len(samples), "completed_samples": len(samples), "scores": [score]},
        "stats": {"started_at": when, "completed_at": when},
        "samples": samples,
    }


def _inspect_sample(question: Any, row: dict[str, Any], manifest: dict[str, Any], name: str) -> dict[str, Any]:
    """One response, without its picture: the question as a message, the answer, and our grade as C or I."""
    prompt = _prompt(question, manifest["params"])
    answer = {"role": "assistant", "content": row["text"], "source": "generate", "model": name}
    return {
        "id": row["question_id"],
        "epoch": row["sample"] + 1,
        "input": prompt,
        "choices": [str(choice) for choice in question["choices"]] or None,
        "target": question["answer"],
        "messages": [{"role": "user", "content": prompt, "source": "input"}, answer],
        "output": {
            "model": name,
            "choices": [{"message": answer, "stop_reason": "stop" if row["finish_reason"] == "stop" else "max_tokens"}],
            "usage": {"output_tokens": row["tokens"], "total_tokens": row["tokens"]},
        },
        "scores": {
            METRIC: {
                "value": "C" if row["outcome"] == "correct" else "I",
                "answer": row["extracted"],
                "explanation": row["outcome"],
            }
        },
        "metadata": {"question_type": question["question_type"]},
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
