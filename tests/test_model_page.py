"""The page that runs the models: its graphs say what torch says, and its tokenizer cuts as the study's."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import torch

from book.model_page import RUNTIME, graphs, libraries
from studylib.engine.models import load_model, load_processor
from studylib.engine.prompts import encode
from studylib.errors import StudyError
from studylib.paths import ROOT
from studylib.study.notebook import Study
from studylib.world.scenes import SIZE, draw

pytest.importorskip("onnx", reason="the page is not tested: pip install -e '.[book]'")
BASE = ROOT / "models" / "mini-base"
CUT = """
import { readFileSync } from "node:fs";
const { Tokenizer } = await import(process.argv[2]);
const tokenizer = new Tokenizer(JSON.parse(readFileSync(process.argv[3])), {});
const texts = JSON.parse(readFileSync(process.argv[4]));
const ids = texts.map((text) => tokenizer.encode(text, { add_special_tokens: false }).ids);
const decoded = ids.map((some) => tokenizer.decode(some, { skip_special_tokens: true }));
console.log(JSON.stringify([ids, decoded]));
"""


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """A question of each benchmark with its picture; the first once more without."""
    table = Study("mini").table("questions.test").groupby("benchmark").head(1)
    seen = [{**row, "images": [draw(json.loads(row["scene"])["scene"])]} for row in table.to_dict("records")]
    return [*seen, {**seen[0], "images": []}]


def test_the_graphs_say_what_torch_says(rows):
    runtime = pytest.importorskip("onnxruntime")
    model, processor = load_model(BASE), load_processor(BASE)
    made, about = graphs(BASE)
    eye, speaker = (runtime.InferenceSession(made[name]).run for name in ("eye", "speaker"))
    vocabulary, hidden, allowed = len(processor.tokenizer), about["hidden"], None
    for row in rows:
        inputs = encode(processor, [row], instruct=True)
        ids = inputs["input_ids"]
        kinds = (ids == processor.image_token_id).int()
        places, _ = model.model.get_rope_index(ids, kinds, image_grid_thw=inputs.get("image_grid_thw"))
        seen = np.zeros((0, hidden), np.float32)
        if row["images"]:
            picture = np.asarray(row["images"][0].convert("RGBA"))
            assert picture.shape == (SIZE, SIZE, 4)
            (seen,) = eye(None, {"picture": picture})
        folded = ids[0].numpy().astype(np.int32)
        folded[folded == processor.image_token_id] = vocabulary + np.arange(len(seen))
        places = places[:, 0].numpy().astype(np.int32)
        with torch.no_grad():
            wanted = model(**inputs).logits[0].numpy()
        # The prompt in one go, then all but its last three tokens and those one by one.
        for parts in ([slice(None)], [slice(-3), slice(-3, -2), slice(-2, -1), slice(-1, None)]):
            memory = np.zeros(about["memory"], np.float32)
            for part in parts:
                fed = {"ids": folded[part], "seen": seen, "places": places[:, part], "memory": memory}
                logits, memory = speaker(None, fed)
                allowed = logits > -1e8
                last = memory.shape[3] - 1
                np.testing.assert_allclose(logits[allowed], wanted[last][allowed], atol=1e-3)
    assert allowed.sum() == vocabulary - 6  # five tokens of pictures and the pad are never said


def test_the_pages_tokenizer_cuts_as_the_studys(tmp_path):
    if not shutil.which("node"):
        pytest.skip("the page's tokenizer is not tested: there is no node")
    try:
        (tmp_path / "tokenizers.mjs").write_bytes(libraries(tmp_path)["tokenizers"])
    except StudyError as error:
        pytest.skip(str(error))
    study, tokenizer = Study("mini"), load_processor(BASE).tokenizer
    questions = study.table("questions.test")["question"].tolist()
    opening = "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>"
    texts = [f"{opening}{text}<|im_end|>\n<|im_start|>assistant\n" for text in questions[::7]]
    texts += study.table("base.responses")["text"].drop_duplicates().tolist()[:300]
    texts += [" ", "  a  b\n\n\tc ", "x12 5.6!?", "Grün ½ 数学 👍🏽", "<think> (A) (B)\\boxed{7}</think>", "it's (a)(A"]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    (tmp_path / "cut.mjs").write_text(CUT)
    command = ["node", "cut.mjs", "./tokenizers.mjs", str(BASE / "tokenizer.json"), "texts.json"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    ids, decoded = json.loads(run.stdout)
    assert ids == tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert decoded == [tokenizer.decode(some, skip_special_tokens=True) for some in ids]


def test_without_npm_the_page_is_out_of_reach_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StudyError, match="npm"):
        libraries(tmp_path)
    (tmp_path / f"{RUNTIME.replace('@', '-')}.tgz").write_bytes(b"something else")
    with pytest.raises(StudyError, match="pinned"):
        libraries(tmp_path)
