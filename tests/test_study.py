"""The study itself, at smoke: it trains, samples and grades for real."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from studylib.errors import StudyError
from studylib.paths import ROOT, reference_root
from studylib.store import store
from studylib.study.chapters import chapters, run_chapters
from studylib.study.notebook import Study
from studylib.study.reference import difference

KILLED = "sft_careful.grades"  # trains, validates, samples and grades


def studylib(root, *words, **environment):
    return subprocess.run([sys.executable, "-m", "studylib", *words], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "STUDY_RUNS": str(root), **environment})  # fmt: skip


# Chapters with committed results are executed on these (tests/test_notebooks.py).
NEW_CHAPTERS = [path for path in chapters() if not (reference_root("mini") / "chapters" / path.name).exists()]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The folder of a smoke study: every stage."""
    root = tmp_path_factory.mktemp("runs")
    done = studylib(root, "stages", "--scale", "smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    return root


@pytest.fixture
def study(smoke, monkeypatch):
    monkeypatch.setenv("STUDY_RUNS", str(smoke))
    return Study("smoke", train=True)


def test_every_arm_has_grades_for_all_its_samples(study):
    scores = study.scores("base_a", "base", "base_instructed", *study.params.arms)
    sizes = scores.groupby("arm").size()
    questions = len(study.params.data.benchmarks) * study.params.data.test
    assert set(sizes[["base_a", "base"]]) == {questions * study.params.sampling.base}
    assert set(sizes[list(study.params.arms)]) == {questions * study.params.sampling.arm}
    assert len(study.levels()) == questions


def test_manifests_tell_what_ran(study):
    for name in study.plan:
        manifest = study.get(name).manifest
        assert manifest["peak_memory_gib"] < 6 and manifest["packages"]["torch"]
    assert study.get("rl").manifest["facts"]["distributed"] == "NO"
    lora = [arm for arm in study.params.arms if "lora" in json.dumps(study.get(arm).manifest["params"])]
    assert lora, "no arm of smoke trains with LoRA"


def test_chosen_checkpoints_are_whole_models(study):
    from studylib.engine.models import load_model, load_processor

    for arm in study.params.arms:
        load_processor(study.model(arm))
    sizes = {sum(p.numel() for p in load_model(study.model(arm)).parameters()) for arm in ("base", "sft_eureka")}
    assert len(sizes) == 1


def test_combinations_leave_what_their_chapters_read(study):
    for arm in ("two_stage", "interleaved", "interleaved_all", "progressive"):
        assert {"reward", "length", "truncated"} <= set(study.log(arm))
    assert study.log("interleaved_all")["sft_loss"].notna().all()
    assert study.log("progressive")["prefix_share"].iloc[[0, -1]].tolist() == [1.0, pytest.approx(0.0670, abs=1e-3)]
    mixed = study.table("mixed")
    facts = study.get("mixed").manifest["facts"]
    assert mixed["source"].value_counts().get("rl", 0) == facts["from_rl"] and len(mixed) > 0
    merged = study.merged()
    grid = merged.groupby(["merge", "share"]).size()
    assert list(grid.index) == [(m, s) for m in ("linear", "slerp", "ties") for s in (0.0, 0.5, 1.0)]
    assert grid.nunique() == 1


def test_the_history_of_an_arm_holds_its_data_and_the_parents_behind_it(study):
    told = [manifest["name"] for manifest in study.history("data_mixing.select")]
    assert {"mixed.responses", "rl", "eureka.responses", "sft_careful", "data_mixing"} <= set(told)
    assert len(told) == len(set(told)) and told[-1] == "data_mixing.select" and "sft_eureka" not in told


def test_second_run_does_nothing(smoke):
    before = {path: path.stat().st_mtime_ns for path in (smoke / "smoke").iterdir()}
    done = studylib(smoke, "stages", "--scale", "smoke")
    assert done.returncode == 0 and "starts" not in done.stdout
    assert {path: path.stat().st_mtime_ns for path in (smoke / "smoke").iterdir()} == before


def test_the_plan_says_what_each_published_stage_took(smoke, study):
    done = studylib(smoke, "plan", "--scale", "smoke")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("rl.s1 "))
    assert line.split()[1:3] == ["grpo", study.plan["rl"].identity[:10]] and " GiB " in line
    assert line.endswith("eureka.s1") and "chapter-04" in done.stdout and " missing" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not NEW_CHAPTERS, reason="all chapters have committed results, on which they are executed")
def test_chapters_without_committed_results_run_at_smoke(study):
    assert run_chapters(NEW_CHAPTERS, study)


def test_killed_study_goes_on_and_ends_with_the_same_tables(smoke, study, tmp_path):
    command = [sys.executable, "-m", "studylib", "stage", KILLED, "--scale", "smoke"]
    for moment in ("sft_careful", "sft_careful.select", "sft_careful.responses"):
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "STUDY_RUNS": str(tmp_path)},
                                   start_new_session=True, stdout=subprocess.DEVNULL)  # fmt: skip
        begun = tmp_path / "smoke" / ".work" / study.plan[moment].identity[:16]
        deadline = time.monotonic() + 120
        while not begun.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = studylib(tmp_path, "stage", KILLED, "--scale", "smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "traces.careful: starts" not in done.stdout  # published before the kill
    for name in ("sft_careful.responses", KILLED):
        (again,) = store.folder(study.plan[name], tmp_path / "smoke").glob("*.parquet")
        pd.testing.assert_frame_equal(pd.read_parquet(again), study.table(name))


def test_two_studies_at_once_are_refused_in_one_sentence(smoke):
    with store.lock(smoke / "smoke" / ".work" / "study.lock"):
        done = studylib(smoke, "study", "--scale", "smoke")
    assert done.returncode == 2
    assert "Another make study is at work on smoke: wait for it, or stop it" in done.stderr
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1


def test_damaged_run_stops_the_study_in_one_sentence(smoke, study):
    file = study.get("rl.grades").path / "grades.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"x")
    try:
        done = studylib(smoke, "study", "--scale", "smoke")
    finally:
        file.write_bytes(whole)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "does not match its manifest (bad hash); delete the folder" in done.stderr


def test_reading_without_a_reference_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("studylib.study.notebook.reference_root", lambda scale: tmp_path)
    with pytest.raises(StudyError, match="outputs/smoke holds no rl of seed 1: Study\\(..., train=True\\) computes it"):
        Study("smoke").get("rl")


def test_unknown_names_are_met_with_the_nearest(tmp_path):
    for words, said in [
        (("stage", "rl.grade", "--scale", "smoke"), "no stage 'rl.grade'; did you mean 'rl.grades'?"),
        (("chapter", "99", "--scale", "smoke"), "No one chapter begins with '99'"),
        (("plan", "--scale", "mni"), "There is no params/mni.yaml; did you mean 'mini'?"),
    ]:
        done = studylib(tmp_path, *words)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_comparison_names_what_differs(tmp_path):
    a, b = tmp_path / "a.csv", tmp_path / "b.csv"
    a.write_text("arm,gain\nrl,1.5\nsft,2\n")
    assert difference(a, b) == "MISSING from this run"
    b.write_text("arm,gain\nrl,1.25\nsft,2\n")
    assert difference(a, a) == "same" and difference(a, b) == "differs: gain by at most 0.25"
    b.write_text("arm,gain\nrl,1.5\n")
    assert difference(a, b).startswith("other shape: 2 x 2 in the reference, 1 x 2 here")
