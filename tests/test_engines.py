"""Sampling by engines of their own, one a GPU: what runs around vLLM, with a stand-in for it (tests/stubs/vllm)."""

import json
from pathlib import Path

import pytest
from datasets import Dataset, Features, List, Value
from datasets import Image as Picture

from studylib.engine import vllm
from studylib.engine.sampling import Sampling
from studylib.errors import StudyError
from studylib.params.load import load_params
from studylib.stages import sample
from studylib.store.files import save_rows
from studylib.store.identity import Stage
from studylib.store.store import Run, Work

STUBS = Path(__file__).parent / "stubs"
SAMPLING = Sampling(temperature=0.6, top_p=0.95, top_k=20, max_new_tokens=24)


@pytest.fixture
def engines(tiny_base, tmp_path, monkeypatch):
    """The file in which every engine that starts leaves a line; there are two GPUs, both of them CPUs."""
    started = tmp_path / "engines.txt"
    monkeypatch.syspath_prepend(STUBS)  # spawned processes get the path of this one
    monkeypatch.setenv("ENGINES", str(started))
    monkeypatch.setenv("MODEL", str(tiny_base))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # a worker's
    monkeypatch.setattr(vllm, "visible_gpus", lambda: ["0", "1"])
    return started


def questions(words) -> Dataset:
    rows = [{"id": f"q{n}", "benchmark": "MiniVision", "question": word, "images": []} for n, word in enumerate(words)]
    text = {name: Value("string") for name in ("id", "benchmark", "question")}
    return Dataset.from_list(rows, features=Features(text | {"images": List(Picture())}))


def answered(model, rows, asked=None):
    places = range(len(rows)) if asked is None else asked
    return list(vllm.answers_as_finished(model, rows, places, True, 2, SAMPLING, 0, 4))


def test_one_engine_a_gpu_answers_all_and_a_long_answer_keeps_nobody_waiting(tiny_base, engines):
    rows = questions(["slow red"] + ["blue green " * (n % 5 + 1) for n in range(23)])
    found = answered(tiny_base, rows)
    assert sorted(index for index, _ in found) == list(range(24)) and [i for i, _ in found].index(0) > 5
    assert all(len(answers) == 2 and answers[0][1] == "stop" for _, answers in found)
    started = [line.split() for line in engines.read_text().splitlines()]
    assert sorted(gpu for gpu, _ in started) == ["0", "1"]  # for the whole of it
    longest = max(vllm.PromptIds(vllm.load_processor(tiny_base), rows, True).lengths)
    assert {int(limit) for _, limit in started} == {longest + SAMPLING.max_new_tokens}


def test_an_engine_that_ends_is_one_sentence_and_what_was_answered_is_kept(tiny_base, engines, tmp_path, monkeypatch):
    params = load_params("smoke", {"engine": {"name": "vllm", "batch_size": 2}})
    monkeypatch.setattr(vllm, "visible_gpus", lambda: ["0"])
    monkeypatch.setattr(sample, "model_of", lambda inputs, params: tiny_base)
    asked = {"instruct": True, "samples": 1, "seed": 0, "arm": "rl", "sampling": vars(SAMPLING)}

    def work(words) -> Work:
        (tmp_path / "questions").mkdir(exist_ok=True)
        save_rows(questions(words), tmp_path / "questions")
        (tmp_path / "work").mkdir(exist_ok=True)
        made = Work(Stage("rl.responses", "sample", asked, {}, (), 1), tmp_path / "work",
                    {"questions": Run(tmp_path / "questions", {})}, print)  # fmt: skip
        return made

    with pytest.raises(StudyError, match="exit code 3"):
        sample.sample(work(["red", "blue", "fatal", "green", "row"]), params)
    kept = tmp_path / "work.parts" / "responses.jsonl"
    before = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [place for place, _ in before] == [0, 1]
    with kept.open("a") as file:
        file.write('[2, [{"half')  # a kill in the middle of a line
    sample.sample(made := work(["red", "blue", "sum", "green", "row"]), params)
    again = [json.loads(line) for line in kept.read_text().splitlines()]
    assert again[:2] == before and sorted(place for place, _ in again) == [0, 1, 2, 3, 4]
    table = sample.pd.read_parquet(made.path / "responses.parquet")
    assert table["question_id"].tolist() == [f"q{n}" for n in range(5)] and made.facts["responses"] == 5


def test_a_prompt_that_the_engine_reads_otherwise_ends_it(tiny_base, engines):
    with pytest.raises(StudyError, match="vLLM read question q1"):
        answered(tiny_base, questions(["red", "misread"]))
