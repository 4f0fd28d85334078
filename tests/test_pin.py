"""make pin: what the params leave open of the hub, all at once."""

from types import SimpleNamespace

import pytest
import yaml

from studylib.params.load import load_params, parse_params
from studylib.study import pin

SHA = "c" * 40


@pytest.fixture
def params(tmp_path, monkeypatch):
    """The paper's params, its first benchmark in a folder here, all else on a hub that lacks one name."""
    folder = tmp_path / "vision"
    folder.mkdir()
    row = '{"id": "1", "question": "?", "options": [], "answer": "2", "image": "1.png", "difficulty_level": %s}\n'
    (folder / "test.jsonl").write_text("".join(row % level for level in (1, 5)))

    def repo_info(_, name, repo_type, revision):
        if name == "simplescaling/s1K":
            raise ConnectionError("no such thing")
        return SimpleNamespace(sha=SHA)

    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", repo_info)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(folder))
    return load_params("paper")


def test_every_name_is_pinned_in_one_go_and_what_cannot_be_had_is_a_line(params):
    found = {each.key: each for each in pin.pins(params)}
    assert set(found) == {"model"} | {f"released.{arm}" for arm in params.released} | {
        f"data.benchmarks.{name}" for name in params.data.benchmarks
    } | {f"data.hub.{name}" for name in params.data.hub}  # fmt: skip
    vision = found["data.benchmarks.MathVision"]
    assert vision.commit == SHA and vision.level == "difficulty_level" and "answer" in vision.columns
    assert "no such thing" in found["data.hub.rambling"].problem
    assert "has no column" in found["data.benchmarks.MathVerse"].problem  # the rows are MathVision's
    text = "\n".join(pin.table(list(found.values())))
    assert text.count(SHA) >= 10 and "levels: difficulty_level" in text and "no such thing" in text


def test_the_block_takes_the_place_of_the_keys_and_its_params_are_valid(params):
    told = yaml.safe_load(pin.block([each for each in pin.pins(params) if not each.problem]))
    raw = params.model_dump()
    raw["model"], raw["released"] = told["model"], told["released"]
    raw["data"]["benchmarks"] |= told["data"]["benchmarks"]
    pinned = parse_params(raw, "pinned")
    assert pinned.model.revision == SHA and pinned.model.path == params.model.path
    assert {model.revision for model in pinned.released.values()} == {SHA}
    assert pinned.data.benchmarks["MathVision"].level_column == "difficulty_level"
