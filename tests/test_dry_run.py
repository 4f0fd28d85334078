"""The dry run swaps the model, the data and the sizes of a study for GPUs, and nothing else."""

import os

import httpx
import pytest

from studylib.data import hub
from studylib.data.mini import mini_rows
from studylib.data.schemas import with_options
from studylib.errors import StudyError
from studylib.params.load import load_params
from studylib.study.notebook import Study
from studylib.study.plan import plan_identity
from studylib.world.tasks import with_choices
from tests.paper import dry_run
from tests.paper.as_published import LEVEL_COLUMN, write_published

WORLD = {"data.train": 6, "data.text_traces": 3, "data.validation": 1, "data.test": 2}


@pytest.fixture
def study(request, tmp_path, monkeypatch):
    monkeypatch.setattr(dry_run, "FOLDER", tmp_path)
    monkeypatch.setattr(dry_run, "WORLD", WORLD)
    scale = getattr(request, "param", "paper")
    return Study(scale, 1, True, dry_run.small(scale, "http://localhost:1/v1"))


@pytest.mark.parametrize("study", ["paper", "gpu80", "gpu24"], indirect=True)
def test_every_stage_of_the_scale_is_there_and_every_arm_is_what_it_was(study):
    real = Study(study.scale, 1)
    assert {name for name in study.plan if not name.endswith(".rules")} == set(real.plan)  # the judge is the dry run's
    for arm, full in real.params.arms.items():
        small = study.params.arms[arm]
        assert (small.method, small.data, small.start) == (full.method, full.data, full.start)
        if full.rl:
            assert (small.rl.beta, small.rl.lr, small.rl.mini_batches) == (full.rl.beta, full.rl.lr, 2)
            assert small.rl.max_new_tokens < 100
        assert small.interleaved == full.interleaved and small.progressive == full.progressive
    assert study.params.launch.sharding == real.params.launch.sharding and study.params.judge.model == "local"


def test_the_mini_world_comes_back_from_the_files_of_the_published_sets(study):
    """Questions, choices and answers survive the way through the columns of each benchmark."""
    ours = mini_rows(load_params("smoke", WORLD), "test")
    read = hub.load_questions(study.params, "test")[0]
    assert len(read) == len(ours) == 10 and set(read["level"]) == {"L1", "L2"}
    for row, original in zip(read, ours, strict=True):
        stem = original["question"].removesuffix(with_choices("", original["choices"]))
        assert row["question"].removeprefix("[picture] ") == with_options(stem, original["choices"])
        assert (row["answer"], row["choices"]) == (original["answer"], original["choices"]), row["id"]
        assert len(row["images"]) == 1
    traces = hub.load_traces(study.params, "careful")[0]
    assert len(traces) == 3 and traces[0]["trace"].startswith("<think> ") and "\\boxed{" in traces[0]["trace"]


def test_a_chapter_finds_the_small_study_by_scale_and_seed_alone(study, monkeypatch):
    dry_run.write_params(study.scale, study.overrides)
    monkeypatch.setenv("STUDY_RUNS", str(dry_run.FOLDER))
    assert plan_identity(Study("paper", 1).plan) == plan_identity(study.plan)
    with pytest.raises(StudyError, match=r"no params/mini\.yaml"):
        Study("mini", 1)


def test_levels_must_be_named_as_on_the_hub(tmp_path):
    sets = write_published(load_params("smoke", WORLD), tmp_path)["data.benchmarks"]
    assert {told["level_column"] for told in sets.values()} == {LEVEL_COLUMN}


def test_a_gpu_that_happens_to_be_there_is_left_alone(monkeypatch):
    """Else accelerate would train on it what is asked of two CPU processes."""

    def stop():
        raise KeyboardInterrupt

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(dry_run, "judge_server", stop)
    with pytest.raises(KeyboardInterrupt):
        dry_run.dry_run()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_the_judge_is_a_server_of_its_own():
    with dry_run.judge_server() as address:
        body = {"model": "local", "messages": [{"role": "user", "content": "?"}]}
        told = httpx.post(f"{address}/chat/completions", json=body).json()
    assert '"verdict": "wrong"' in told["choices"][0]["message"]["content"]
    with pytest.raises(httpx.ConnectError):
        httpx.post(f"{address}/chat/completions", json=body)
