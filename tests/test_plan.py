import os
import subprocess
import sys

import pytest

from studylib.analysis.verdicts import COMBINATIONS
from studylib.errors import StudyError
from studylib.params.load import load_params
from studylib.paths import ROOT
from studylib.study.plan import ancestors, build_plan

PARTS = ("", ".select", ".responses", ".grades", ".divergence")
AFTER_RL = {"arms.after_rl": {"method": "sft", "data": "eureka", "start": "rl"}}
COMBINED = {
    "arms.half_weight": {"method": "interleaved", "data": "eureka", "interleaved": {"weight": 0.5}},
    "arms.late": {"method": "progressive", "data": "eureka", "start": "sft_eureka", "progressive": {"until": 1}},
    "arms.more_epochs": {"method": "sft", "data": "mixed", "sft": {"epochs": 4}},
    "arms.thin": {"method": "merging", "merging": {"methods": ["ties"], "density": 0.2, "sft": "sft_careful"}},
}


@pytest.fixture(autouse=True)
def base(tmp_path, monkeypatch):
    """A folder that passes for the base: the plan needs its hash, not its weights."""
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr("studylib.study.plan.base_name", lambda params: tmp_path)


def plan(scale="mini", seed=1, overrides=None):
    return build_plan(load_params(scale, overrides), seed)


def labels(stage):
    return {node.label for node in ancestors(stage)}


def test_plan_holds_every_arm_from_questions_to_grades():
    stages = plan()
    for arm in ("sft_rambling", "sft_careful", "sft_eureka", "rl", "rl_beta0", "rl_no_easy"):
        parts = (arm, f"{arm}.select", f"{arm}.responses", f"{arm}.grades", f"{arm}.divergence")
        assert set(parts) <= set(stages)
    needs = labels(stages["rl.grades"])
    assert {"questions.train", "traces.careful", "sft_careful.s1", "eureka.s1", "rl.select.s1"} <= needs
    assert not {"traces.rambling", "base_a.responses", "base.responses"} & needs
    assert "base_train.grades" in labels(stages["rl_no_easy"])
    assert labels(stages["levels"]) == {"questions.test", "base_a.responses", "base_a.grades", "levels"}


def test_published_questions_are_stages_of_another_kind():
    paper, mini = plan("paper"), plan("mini")
    assert {paper[name].kind for name in ("questions.test", "questions.train")} == {"hub_questions"}
    assert paper["traces.careful"].kind == "hub_traces"
    assert mini["questions.test"].kind == "questions" and mini["traces.careful"].kind == "traces"


@pytest.mark.parametrize("scale", ["smoke", "mini", "paper"])
def test_the_five_combinations_are_arms_of_every_scale(scale):
    stages = plan(scale)
    for arm in COMBINATIONS:
        assert {f"{arm}{part}" for part in PARTS} <= set(stages)
    eureka = stages["eureka"]
    two, base_grades = stages["two_stage"], stages["base_train.grades"]
    assert two.inputs["model"] is stages["sft_eureka"] and two.inputs["data"] is eureka
    assert two.params["rl"]["max_new_tokens"] > stages["rl"].params["rl"]["max_new_tokens"]
    assert stages["interleaved"].inputs == {"data": eureka} and stages["interleaved"].kind == "interleaved"
    assert not stages["interleaved"].params["interleaved"]["everywhere"]
    assert stages["progressive"].inputs == {"data": eureka, "grades": base_grades}
    assert stages["progressive"].params["progressive"] == {"weight": 0.2, "until": 0.6}
    assert stages["mixed.responses"].inputs["model"] is stages["rl"] and "model" not in stages["data_mixing"].inputs
    assert stages["mixed"].inputs["traces"] is eureka.inputs["responses"]
    merging = stages["merging"].inputs
    assert merging["sft_select"] is stages["sft_eureka.select"] and merging["rl_select"] is stages["rl.select"]


def test_another_rl_model_makes_mixed_and_merged_anew_and_no_other_combination():
    before, after = plan(), plan(overrides={"arms.rl": {"method": "grpo", "data": "eureka", "rl": {"steps": 9}}})
    changed = {name for name in COMBINATIONS if before[name].identity != after[name].identity}
    assert changed == {"data_mixing", "merging"}


@pytest.fixture
def local(tmp_path, monkeypatch) -> dict:
    """Overrides with local queries and one local benchmark."""
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path / "runs"))
    for name in ("queries", "star"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.jsonl").write_text("{}")
    queries = {"name": str(tmp_path / "queries"), "split": "train"}
    return {"data.hub.queries": queries, "data.benchmarks.MMStar": {"name": str(tmp_path / "star"), "split": "train"}}


def identities(local: dict) -> dict[str, str]:
    return {name: stage.identity for name, stage in plan("paper", overrides=local).items()}


def test_a_local_dataset_counts_by_what_is_in_it_and_not_by_place_or_time(local, tmp_path):
    before = identities(local)
    os.utime(tmp_path / "queries" / "train.jsonl", (1, 1))
    (tmp_path / "queries").rename(tmp_path / "elsewhere")
    moved = local | {"data.hub.queries": {"name": str(tmp_path / "elsewhere"), "split": "train"}}
    assert identities(moved) == before
    (tmp_path / "elsewhere" / "train.jsonl").write_text('{"question": "?"}')
    assert identities(moved)["questions.train"] != before["questions.train"]


def test_a_benchmark_is_no_part_of_what_is_trained_on(local, tmp_path):
    before = identities(local)
    (tmp_path / "star" / "train.jsonl").write_text('{"index": 1}')
    others = {"data.benchmarks.MathVision.level_column": "difficulty", "data.hub.validation.split": "dev"}
    after = identities(local | others)
    changed = {name for name in before if before[name] != after[name]}
    assert {"questions.test", "questions.validation", "rl.responses", "levels"} <= changed
    assert not changed & {"questions.train", "traces.careful", "sft_careful"}


def test_inputs_stand_before_what_needs_them():
    seen = set()
    for stage in plan(overrides=COMBINED).values():
        assert {source.identity for source in stage.inputs.values()} <= seen
        seen.add(stage.identity)


def test_base_sets_are_independent_and_of_sixteen():
    stages = plan()
    a, b = stages["base_a.responses"].params, stages["base.responses"].params
    assert a["samples"] == b["samples"] == 16 and a["seed"] != b["seed"] and not a["instruct"]
    assert stages["base_instructed.responses"].params["instruct"]


def test_seeds_share_what_no_training_seed_touches():
    one, two = plan(seed=1), plan(seed=2)
    shared = {name for name in two if two[name].identity == one[name].identity}
    assert {"questions.test", "base.grades", "levels", "traces.careful", "eureka"} <= shared
    assert not {"sft_careful", "sft_eureka", "rl", "rl.grades"} & shared
    assert "rl_beta0" not in two  # ablations run on the first seed only
    own = plan(seed=2, overrides={"distill.seed": None})
    assert own["eureka"].seed == 2 and "sft_careful.s2" in labels(own["eureka"])


def test_an_arm_is_added_by_params_alone():
    before, after = plan(), plan(overrides=AFTER_RL | COMBINED)
    added = ("after_rl", "half_weight", "late", "more_epochs", "thin")
    assert set(after) - set(before) == {f"{arm}{part}" for arm in added for part in PARTS}
    assert all(after[name].identity == before[name].identity for name in before)
    assert after["after_rl"].inputs["model"] is after["rl"] and after["late"].inputs["model"] is after["sft_eureka"]
    assert after["half_weight"].params["interleaved"] == {"weight": 0.5, "everywhere": False}
    assert after["late"].params["progressive"] == {"weight": 0.2, "until": 1}
    assert after["more_epochs"].inputs["data"] is after["mixed"]
    assert after["thin"].inputs["sft"] is after["sft_careful"] and after["thin"].inputs["rl"] is after["rl"]


def test_a_parameter_changes_what_depends_on_it_and_nothing_else():
    before, after = plan(), plan(overrides={"rl.beta": 0.01})
    changed = {name for name in before if before[name].identity != after[name].identity}
    assert {"rl", "rl.select", "rl.grades", "rl_no_easy"} <= changed
    assert not {"questions.train", "sft_careful", "eureka", "sft_eureka.grades", "base.grades", "rl_beta0"} & changed


def test_another_base_changes_all_that_it_answers(tmp_path):
    before = plan()
    from studylib.study import plan as module

    module._folder_hash.cache_clear()
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    after = plan()
    same = {name for name in before if before[name].identity == after[name].identity}
    assert same == {name for name in before if name.startswith(("questions.", "traces."))}


def test_eureka_needs_its_author():
    with pytest.raises(StudyError, match="written by the arm 'sft_careful', which is missing"):
        plan(overrides={"arms": {"rl": {"method": "grpo", "data": "eureka"}}, "first_seed_only": []})
    with pytest.raises(StudyError, match="'sft_careful' writes the data source 'eureka'"):
        plan(overrides={"arms.sft_careful": {"method": "sft", "data": "eureka"}})


def test_missing_base_is_one_sentence(monkeypatch):
    monkeypatch.setattr("studylib.study.plan.base_name", lambda params: params.model.path)
    with pytest.raises(StudyError, match="models/mini-base .*make base"):
        plan()


def test_planning_does_not_import_torch(tmp_path):
    code = f"""
import sys
from pathlib import Path
from studylib.study import notebook, plan
plan.base_name = lambda params: Path({str(tmp_path)!r})
notebook.Study("mini")
print([module for module in ("torch", "datasets") if module in sys.modules])
"""
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_the_gate_rests_on_the_base_and_the_first_seeds_parents_alone():
    first, second = plan(), plan(seed=2)
    assert "gate" in first and "gate" not in second
    arms = {label.partition(".")[0] for label in labels(first["gate"])}
    assert {"sft_eureka", "rl", "base_prompted", "prompt"} - arms == {"base_prompted"}
    assert not arms & {*COMBINATIONS, "rl_beta0", "rl_no_easy", "sft_rambling", "levels.validation"}
    assert not any("gate" in labels(first[f"{arm}.grades"]) for arm in COMBINATIONS)
    assert "gate" not in plan("paper") and "base_prompted.grades" not in plan("paper")


def test_the_best_prompt_is_chosen_on_validation_and_shared_by_all_seeds():
    stages = plan()
    prompts = load_params("mini").gate.prompts
    assert [stages[f"prompt.{n}.responses"].params["prompt"] for n in range(len(prompts))] == prompts
    needs = labels(stages["base_prompted.responses"])
    assert "questions.test" in needs and {f"prompt.{n}.grades" for n in range(len(prompts))} <= needs
    assert stages["base_prompted.grades"].identity == plan(seed=2)["base_prompted.grades"].identity
    assert labels(stages["levels.validation"]) == {
        "questions.validation", "base_validation.responses", "base_validation.grades", "levels.validation",
    }  # fmt: skip


def test_nothing_that_is_trained_or_chosen_waits_for_the_judge():
    judge = {"base_url": "http://localhost:1/v1", "model": "a", "audit": 0, "at_once": 1}
    plan = build_plan(load_params("mini", {"judge": judge}), 1)

    def needs(stage) -> set[str]:
        return {stage.kind}.union(*(needs(source) for source in stage.inputs.values()))

    assert plan["rl.grades"].kind == "judge" and plan["rl.rules"].kind == "grade"
    assert not any("judge" in needs(plan[arm]) for arm in load_params("mini").arms)
    assert not any("judge" in needs(stage) for name, stage in plan.items() if name.endswith(".select"))
