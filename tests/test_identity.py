"""An edit of the code makes anew exactly the stages whose results it can change."""

import importlib.metadata
import json
import shutil
import subprocess
import sys

import pytest

from studylib.params.load import load_params
from studylib.paths import ROOT
from studylib.store import identity
from studylib.store.identity import Stage, code_hash
from studylib.study.plan import ancestors, build_plan

TRAINED = {"sft", "grpo", "interleaved", "progressive"}
ROLLED_OUT = TRAINED - {"sft"}
JUDGE = {"base_url": "http://localhost/v1", "model": "local", "audit": 4, "at_once": 2}
GRADED = {"grade", "select", *ROLLED_OUT}


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """Edits a copy of the package and gives the stages of a plan that are then made anew, by name."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr("studylib.study.plan.base_name", lambda params: tmp_path / "base")
    shutil.copytree(ROOT / "studylib", tmp_path / "studylib", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(identity, "ROOT", tmp_path)

    def forget():
        for cached in (identity.code_hash, identity._module, identity._read):
            cached.cache_clear()

    def plan(overrides):
        forget()
        stages = build_plan(load_params("mini", overrides), 1)
        return stages, {name: stage.identity for name, stage in stages.items()}

    def edit(file, old, new, overrides=None):
        stages, before = plan(overrides)
        path = tmp_path / "studylib" / file
        text = path.read_text()
        assert old in text, f"{file} has changed: {old} is gone"
        path.write_text(text.replace(old, new))
        _, after = plan(overrides)
        return {name for name in stages if before[name] != after[name]}, stages

    yield edit
    forget()


def with_kinds(stages, kinds):
    """Stages of these kinds and all that needs one."""
    return {name for name, stage in stages.items() if any(node.kind in kinds for node in ancestors(stage))}


@pytest.mark.parametrize(
    ("file", "old", "new", "kinds"),
    [
        ("stages/select.py", "accuracy.argmax()", "accuracy.argmin()", {"select"}),
        ("stages/mix.py", '"question_id"]).all()', '"question_id"]).any()', {"no_easy"}),
        ("engine/sampling.py", "def nucleus(", "def nucleus(*more, ", {"sample", "select", *ROLLED_OUT}),
        ("grading/rules.py", "MAX_SHOWN = ", "MAX_SHOWN = 1 + ", GRADED),
        ("train/rewards.py", "ACCURACY, FORMAT = 0.9, 0.1", "ACCURACY, FORMAT = 0.8, 0.2", {"select", *ROLLED_OUT}),
        ("train/merging.py", "density: float = 0.5", "density: float = 0.4", {"merging"}),
    ],
)  # fmt: skip
def test_an_edit_makes_its_own_stages_anew(edited, file, old, new, kinds):
    changed, stages = edited(file, old, new)
    assert changed == with_kinds(stages, kinds) and 0 < len(changed) < len(stages)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("grading/judge.py", "TRIES = ", "TRIES = 1 + "),  # no judge is named at mini
        ("engine/vllm.py", "def answers_as_finished(", "def answers_as_finished(*more, "),  # nor vLLM
        ("engine/models.py", "raise StudyError(", 'raise StudyError("Said otherwise: "'),
        ("engine/decode.py", "\ndef decode(", "\n# A comment.\ndef decode("),
        ("grading/__init__.py", "jobs: int = 1) -> Iterator[Grade]:", "jobs: float = 1):"),
    ],
)
def test_an_edit_that_decides_no_result_makes_nothing_anew(edited, file, old, new):
    assert edited(file, old, new)[0] == set()


def test_code_that_moves_to_another_file_is_the_same(edited, tmp_path):
    package = tmp_path / "studylib"
    identities = {name: stage.identity for name, stage in build_plan(load_params("mini"), 1).items()}
    (package / "engine" / "attention.py").rename(package / "kernel.py")
    for file in package.rglob("*.py"):
        file.write_text(file.read_text().replace("studylib.engine.attention", "studylib.kernel"))
    changed, _ = edited("kernel.py", "import", "import")
    assert changed == set()
    assert {name: stage.identity for name, stage in build_plan(load_params("mini"), 1).items()} == identities


def test_the_judge_and_its_prompt_count_where_the_params_name_one(edited):
    changed, stages = edited("grading/judge_prompt.txt", "answer", "reply", {"judge": JUDGE})
    assert changed == with_kinds(stages, {"judge"})


def test_the_version_of_the_trainer_counts_where_it_trains(edited, monkeypatch):
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"{version(name)}{' other' * (name in moved)}")
    moved: list[str] = []
    _, stages = edited("errors.py", "class", "class")
    before = {name: stage.identity for name, stage in stages.items()}
    moved.append("trl")
    identity.code_hash.cache_clear()
    after = build_plan(load_params("mini"), 1)
    assert {name for name in after if after[name].identity != before[name]} == with_kinds(stages, TRAINED)


def test_identity_follows_params_inputs_seed_and_code():
    numbers = Stage("numbers", "trivial", {"count": 3}, {}, ("studylib.engine.prompts:render",))
    more = Stage("numbers", "trivial", {"count": 4}, {}, ("studylib.engine.prompts:render",))
    doubled = [
        Stage("doubled", "trivial", {}, {"numbers": source}, (f"studylib.engine.prompts:{function}",), seed=seed)
        for source, function, seed in [
            (numbers, "render", 1),
            (more, "render", 1),
            (numbers, "messages", 1),
            (numbers, "render", 2),
        ]
    ]
    assert len({stage.identity for stage in [numbers, more, *doubled]}) == 6


def test_a_function_that_was_renamed_raises():
    with pytest.raises(KeyError, match="gone"):
        code_hash("studylib.engine.prompts:gone")
    with pytest.raises(KeyError, match="gone"):
        code_hash("studylib.engine.prompts:render", ("studylib.engine.prompts:gone",))


def test_every_process_finds_the_same_identities():
    command = [sys.executable, "-m", "tests.identities"]
    printed = [
        json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout) for _ in "ab"
    ]
    assert printed[0] == printed[1] and len(printed[0]) == len(set(printed[0]))
