"""Chapter 12: released checkpoints are pinned, re-scored beside the printed numbers, and never pretended."""

import pandas as pd
import pytest
from synthetic import BENCHMARKS, arm_scores

from studylib.analysis.difficulty import tag_levels
from studylib.analysis.printed import (
    METHOD_OF_ARM,
    MIRRORED,
    against_printed,
    level_agreement,
    published,
    published_gains,
)
from studylib.engine.models import model_folder
from studylib.errors import StudyError
from studylib.figures.dilemma import figure_1
from studylib.figures.tables import beside_paper
from studylib.params.load import load_params
from studylib.params.schema import Model
from studylib.study import rescored
from studylib.study.notebook import Study

NAMES = list(MIRRORED.values())


def as_in_the_paper(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(benchmark=table["benchmark"].map(dict(zip(BENCHMARKS, NAMES, strict=True))))


def test_a_model_of_the_hub_must_be_pinned_and_a_local_one_is_taken_as_it_is(tmp_path, monkeypatch):
    folder = model_folder(Model(path=str(tmp_path), dtype="float32"), "released.rl")
    assert folder == tmp_path
    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", lambda *_, **__: type("Info", (), {"sha": "a" * 40}))
    with pytest.raises(
        StudyError, match=f"released.rl.revision is 'main', which can move: pin the commit, now {'a' * 40}"
    ):
        model_folder(Model(path="owner/name", revision="main", dtype="float32"), "released.rl")
    with pytest.raises(StudyError, match="released.rl.path is 'a/b/c': no folder or file here"):
        model_folder(Model(path="a/b/c", dtype="float32"), "released.rl")


def test_only_safetensors_of_the_pinned_commit_are_fetched(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda path, **said: asked.update(said) or str(tmp_path))
    assert model_folder(Model(path="owner/name", revision="b" * 40, dtype="float32"), "model") == tmp_path
    assert asked["revision"] == "b" * 40
    assert not any(pattern in ("*.bin", "*.pt", "*.py", "*") for pattern in asked["allow_patterns"])


def test_paper_names_the_seven_released_checkpoints():
    assert set(load_params("paper").released) == set(METHOD_OF_ARM) - {"base"}


def test_nothing_is_rescored_where_no_checkpoint_is_named_or_nobody_ran_it():
    assert rescored.rescored(Study("mini", train=True)) is None
    assert rescored.rescored(Study("paper")) is None


def test_rescored_tables_are_drawn_beside_the_printed_ones(monkeypatch, tmp_path):
    """Each checkpoint is a base of its own; what the study gets of it is pretended here."""
    tables = {name: as_in_the_paper(arm_scores(name, 4)) for name in ("base", "sft_eureka", "rl")}
    base_a = as_in_the_paper(arm_scores("base", 16, seed=7))
    questions = base_a.drop_duplicates("question_id").assign(id=lambda t: t["question_id"], level="L2")
    folders = {"sft_eureka": tmp_path / "sft", "rl": tmp_path / "rl"}

    def scores(study: Study, arm: str) -> pd.DataFrame:
        for name, folder in folders.items():
            if study.params.model.path == str(folder):
                assert arm == "base_instructed"
                return tables[name].assign(arm=arm)
        return base_a if arm == "base_a" else tables[arm]

    for folder in folders.values():
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(Study, "run", lambda *_, **__: None)
    monkeypatch.setattr(Study, "scores", scores)
    monkeypatch.setattr(Study, "levels", lambda _: tag_levels(base_a))
    monkeypatch.setattr(Study, "table", lambda *_: questions)
    models = {arm: {"path": str(folder), "dtype": "float32"} for arm, folder in folders.items()}
    found = rescored.rescored(Study("paper", 1, True, {"released": models}))
    assert set(found) == set(rescored.TABLES)
    assert set(found["gains"].query("against == 'B'")["level"]) == {"L2", "all"}  # as published
    assert set(found["accuracy"]["arm"]) == {"base", "sft_eureka", "rl"}
    assert found["level_agreement"].set_index("published").drop("L2").to_numpy().sum() == 0
    shown = beside_paper(found["accuracy"], published("headline"), {"rl": "RL"})
    assert list(shown.columns) == [*NAMES, "average"]
    fig = figure_1(found["gains"], published_gains(), ["MathVision"])
    assert "MathVision, paper (7B)" in [title.text for title in fig.layout.annotations]


def test_a_printed_number_is_reproduced_only_by_an_interval_inside_the_margin():
    ours = pd.DataFrame(
        {"arm": ["rl", "sft_eureka", "merging"], "benchmark": "all", "estimate": [55.0, 51.0, 60.0]}
    ).assign(low=lambda t: t["estimate"] - [1, 3, 1], high=lambda t: t["estimate"] + [1, 3, 1])
    table = against_printed(ours, published("headline"), METHOD_OF_ARM).set_index("arm")
    assert table["verdict"].to_dict() == {"rl": "holds", "sft_eureka": "undecided", "merging": "fails"}
    assert table.loc["rl", "estimate"] == pytest.approx(-0.1)


def test_levels_that_nobody_published_are_left_out_of_the_comparison():
    levels = pd.DataFrame({"question_id": ["a", "b", "c"], "level": ["L1", "L2", "L2"]})
    table = level_agreement(levels, pd.Series({"a": "L1", "b": "L1", "c": ""}))
    assert table.loc["L1"].tolist() == [1, 1, 0, 0, 0] and table.to_numpy().sum() == 2
