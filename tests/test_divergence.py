"""Token-level KL, on a model with random weights."""

import numpy as np
import pytest
import torch
from PIL import Image

from studylib.engine.models import mend_torchvision
from studylib.engine.token_kl import token_kl

ROWS = [
    {"question": "Add 3 and 4.", "images": []},
    {"question": "What is it?", "images": [Image.new("RGB", (112, 112), "red")]},
]
TEXTS = ["<think> 3+4=7. </think> \\boxed{7}", "It is a square."]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> list[str]:
    mend_torchvision()
    from transformers import Qwen2_5_VLForConditionalGeneration

    from models.build.model import build_processor, mini_config, train_tokenizer

    tokenizer = train_tokenizer(TEXTS + [row["question"] for row in ROWS], 400)
    processor, config = build_processor(tokenizer), mini_config(tokenizer, layers=1)
    folders = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        folder = tmp_path_factory.mktemp(f"model{seed}")
        Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
        processor.save_pretrained(folder)
        folders.append(str(folder))
    return folders


def test_a_model_does_not_diverge_from_itself_and_does_from_another(models):
    assert token_kl(models[0], models[0], ROWS, TEXTS)["kl"].abs().max() < 1e-6
    assert (token_kl(models[0], models[1], ROWS, TEXTS)["kl"] > 0).all()


def test_every_token_of_every_completion_is_scored_once_and_its_end_too(models):
    table = token_kl(models[0], models[1], ROWS, TEXTS)
    for index, text in enumerate(TEXTS):
        tokens = table[table["response"] == index]["token"].tolist()
        assert "".join(tokens) == text + "<|im_end|>"


def test_padding_changes_nothing(models):
    together = token_kl(models[0], models[1], ROWS, TEXTS)
    alone = token_kl(models[0], models[1], ROWS, TEXTS, batch_size=1)
    np.testing.assert_allclose(together["kl"], alone["kl"], rtol=1e-3, atol=1e-5)


def test_long_completions_are_read_in_parts_to_the_same_values(models, monkeypatch):
    at_once = token_kl(models[0], models[1], ROWS, TEXTS)
    monkeypatch.setattr("studylib.engine.token_kl.MAX_BATCH_CHARACTERS", 1)
    monkeypatch.setattr("studylib.engine.token_kl.LOGITS_CHUNK", 3)
    in_parts = token_kl(models[0], models[1], ROWS, TEXTS)
    assert in_parts["token"].tolist() == at_once["token"].tolist()
    np.testing.assert_allclose(in_parts["kl"], at_once["kl"], rtol=1e-3, atol=1e-5)


def test_kl_is_that_of_the_whole_distribution_at_each_place(models):
    from studylib.engine.models import load_model, load_processor
    from studylib.engine.token_kl import _with_completions

    inputs, ids = _with_completions(load_processor(models[0]), ROWS[:1], TEXTS[:1])
    p, q = (torch.softmax(load_model(m)(**inputs).logits[0].double(), -1) for m in models)
    by_hand = (p * (p / q).log()).sum(-1)[-len(ids[0]) - 1 : -1].detach().numpy()
    found = token_kl(models[0], models[1], ROWS[:1], TEXTS[:1])["kl"]
    np.testing.assert_allclose(found, by_hand, rtol=1e-3)


def test_rows_are_shared_over_the_gpus_and_come_back_in_their_order(models, monkeypatch):
    """Two processes, each told of a GPU of its own; where there is none they reckon on the CPU."""
    alone = token_kl(models[0], models[1], ROWS * 2, [*TEXTS, "short", TEXTS[0] * 3])
    monkeypatch.setattr("studylib.engine.token_kl.visible_gpus", lambda: ["0", "1"])
    shared = token_kl(models[0], models[1], ROWS * 2, [*TEXTS, "short", TEXTS[0] * 3])
    assert shared["token"].tolist() == alone["token"].tolist()
    assert shared["response"].tolist() == alone["response"].tolist()
    np.testing.assert_allclose(shared["kl"], alone["kl"], rtol=1e-2 if torch.cuda.is_available() else 1e-3, atol=1e-5)


def test_models_and_prompts_are_on_the_gpu_in_bfloat16_where_there_is_one(models, monkeypatch):
    """The device is a stand-in that counts what is moved to it: torch's own "meta", with nothing to reckon on it."""
    seen = []

    def kl(model, reference, inputs, width):
        seen.extend((network.device.type, network.dtype) for network in (model, reference))
        return np.zeros((len(inputs["input_ids"]), width))

    real = torch.nn.Module.to
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, device: real(self, {"cuda": "meta"}[device]))
    monkeypatch.setattr("studylib.engine.token_kl._kl", kl)
    from studylib.engine.token_kl import _scored

    _scored(models[0], models[1], ROWS, TEXTS, [0, 1], 32)
    assert seen == [("meta", torch.bfloat16)] * 2
