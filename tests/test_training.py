"""What the stages that train hand to their trainers: made of published runs, as the study finds them."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset, Features, List, Value
from datasets import Image as Picture
from PIL import Image

from studylib.errors import StudyError
from studylib.params.load import load_params
from studylib.stages import merge as merge_stage
from studylib.stages import mix
from studylib.stages.train import progressive
from studylib.store.files import load_rows, save_rows
from studylib.store.identity import Stage
from studylib.store.store import Run, Work

QUERIES = ["q0", "q1", "q2"]


def run(path, **manifest):
    path.mkdir()
    return Run(path, manifest)


def queries(path, **more):
    found = run(path)
    save_rows(Dataset.from_dict({"id": QUERIES, "images": [[]] * len(QUERIES), **more}), path)
    return found


def answered(path, outcomes):
    """Responses and grades, `outcomes` by query; the text says whose it is."""
    table = [(name, f"{path.name} {name} {i}", o) for name, all_of in outcomes.items() for i, o in enumerate(all_of)]
    frame = pd.DataFrame(table, columns=["question_id", "text", "outcome"]).assign(tokens=1)
    found = run(path)
    frame.drop(columns="outcome").to_parquet(path / "responses.parquet")
    frame.drop(columns="text").to_parquet(path / "grades.parquet")
    return found


def work(tmp_path, kind, inputs, params=None):
    (tmp_path / "work").mkdir(exist_ok=True)
    return Work(Stage(kind, kind, params or {}, {}, (), 1), tmp_path / "work", inputs, print)


def test_mixed_rows_are_all_correct_answers_and_where_none_is_every_correct_trace(tmp_path):
    told = answered(tmp_path / "rl", {"q0": ["correct", "correct"], "q1": ["wrong", "truncated"], "q2": ["wrong"] * 2})
    traces = answered(tmp_path / "eureka", {"q0": ["correct"], "q1": ["correct", "wrong", "correct"], "q2": ["wrong"]})
    inputs = {"questions": queries(tmp_path / "q"), "responses": told, "grades": told}
    made = work(tmp_path, "mix", inputs | {"traces": traces, "trace_grades": traces})
    mix.mix(made, None)
    mixed = load_rows(Run(made.path, {}))
    assert mixed["trace"][:] == ["rl q0 0", "rl q0 1", "eureka q1 0", "eureka q1 2"]
    assert mixed["id"][:] == ["q0", "q0", "q1", "q1"] and mixed["source"][:] == ["rl", "rl", "trace", "trace"]
    assert made.facts == {"queries": 3, "from_rl": 2, "from_traces": 2}


def test_a_mix_of_nothing_is_one_sentence(tmp_path):
    none = answered(tmp_path / "rl", {name: ["wrong"] for name in QUERIES})
    inputs = dict.fromkeys(("responses", "grades", "traces", "trace_grades"), none)
    with pytest.raises(StudyError, match="Neither the RL model nor the traces"):
        mix.mix(work(tmp_path, "mix", inputs | {"questions": queries(tmp_path / "q")}), None)


def test_distilled_rows_pass_their_pictures_on_byte_by_byte(tmp_path):
    """Decoded and encoded again, a JPEG is another picture than the one that was answered."""
    pixels, file = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8), io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=60)
    held = {"bytes": file.getvalue(), "path": None}
    shown = Features({"id": Value("string"), "images": List(Picture())})
    rows = Dataset.from_list([{"id": name, "images": [held]} for name in QUERIES], features=shown)
    questions = run(tmp_path / "q")
    save_rows(rows, tmp_path / "q")
    answers = answered(tmp_path / "eureka", {"q0": ["wrong"], "q1": ["wrong", "correct"], "q2": ["correct"]})
    made = work(tmp_path, "distill", {"questions": questions, "responses": answers, "grades": answers})
    mix.distill(made, None)
    kept = load_rows(Run(made.path, {}))
    assert kept["id"][:] == ["q1", "q2"] and kept["trace"][:] == ["eureka q1 1", "eureka q2 0"]
    assert [row[0]["bytes"] for row in kept.with_format("arrow")[:]["images"].to_pylist()] == [held["bytes"]] * 2


def test_progressive_gets_the_pass_rate_of_the_base_and_the_traces(tmp_path, monkeypatch):
    params, seen = load_params("smoke"), {}

    def train(start, rows, out, **asked):
        seen.update(asked, rows=rows)
        return {}

    monkeypatch.setattr("studylib.train.progressive.train_progressive", train)
    outcomes = {"q0": ["wrong"] * 4, "q1": ["correct", "wrong"], "q2": ["wrong"]}
    grades = answered(tmp_path / "base", outcomes)
    stage = params.arms["progressive"]
    asked = {name: getattr(stage, name).model_dump() for name in ("rl", "progressive")}
    traces = ["<think>Two. Three.</think>5", "<think>Four. Five.</think>9", "<think>2+3=5.</think>5"]
    data = queries(tmp_path / "q", trace=traces)
    made = work(tmp_path, "progressive", {"data": data, "grades": grades}, asked)
    progressive(made, params)
    assert [(row["pass_rate"], row["trace"]) for row in seen["rows"]] == list(zip([0.0, 0.5, 0.0], traces, strict=True))
    assert isinstance(seen["rows"], Dataset)  # whose pictures are decoded when they are used
    assert seen["weight"] == 0.2 and seen["until"] == 0.6 and seen["config"] == stage.rl
    assert made.facts == {"hard": 2, "hard_with_prefix": 1}  # a thought of one sentence has no beginning to give


def test_the_merged_grid_is_of_the_chosen_parents_and_goes_on_where_it_was_cut_off(tmp_path, monkeypatch):
    params, seen = load_params("smoke"), []

    def merge(sft, rl, base, out, *, method, share, density):
        seen.append((sft.name, rl.name, method, share, density))
        if len(seen) == 2:
            out.mkdir()
            raise KeyboardInterrupt
        out.mkdir()  # refused if what was cut off still lay there
        return {"merged": 1, "shared": 2}

    monkeypatch.setattr("studylib.train.merging.merge", merge)
    inputs = {role: run(tmp_path / role) for role in ("sft", "rl", "sft_select", "rl_select")}
    for role, name in (("sft_select", "epoch-4"), ("rl_select", "step-20")):
        (inputs[role].path / "selection.json").write_text(json.dumps({"checkpoint": name}))
    asked = params.merging.model_dump() | {"methods": ["linear", "ties"], "shares": [0.25, 0.5]}
    with pytest.raises(KeyboardInterrupt):
        merge_stage.merging(work(tmp_path, "merging", inputs, {"merging": asked}), params)
    made = work(tmp_path, "merging", inputs, {"merging": asked})
    merge_stage.merging(made, params)
    assert seen[0] == ("epoch-4", "step-20", "linear", 0.25, 0.5)
    assert [s[2:4] for s in seen[1:]] == [("linear", 0.5), ("linear", 0.5), ("ties", 0.25), ("ties", 0.5)]
    grid = ["linear-0.25", "linear-0.5", "ties-0.25", "ties-0.5"]
    assert made.facts["checkpoints"] == grid and sorted(path.name for path in made.path.iterdir()) == grid
