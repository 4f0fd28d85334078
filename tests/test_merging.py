import math
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from training import build_rows, weights

from studylib.engine.models import load_model, load_processor
from studylib.engine.prompts import encode
from studylib.errors import StudyError
from studylib.train.merging import merge

NAME = "model.layers.0.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def family(tiny_base, tmp_path_factory):
    """A base and two children: the text weights moved, the vision tower the base's."""
    folder = tmp_path_factory.mktemp("family")
    base = Path(shutil.copytree(tiny_base, folder / "base"))
    for seed, child in enumerate(("sft", "rl")):
        shutil.copytree(base, folder / child)
        draw = torch.Generator().manual_seed(seed)
        moved = {
            name: tensor if "visual" in name else tensor + 0.02 * torch.randn(tensor.shape, generator=draw)
            for name, tensor in weights(base).items()
        }
        save_file(moved, folder / child / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("method", ["linear", "ties", "slerp"])
def test_every_tensor_is_there_vision_is_the_bases_and_the_model_reads_a_picture(family, tmp_path, method):
    out = tmp_path / method
    told = merge(family / "sft", family / "rl", family / "base", out, method=method, share=0.25)
    base, merged = weights(family / "base"), weights(out)
    assert merged.keys() == base.keys() and told["merged"] + told["shared"] == len(base)
    assert all(merged[name].shape == base[name].shape for name in base)
    vision = {name for name in base if "visual" in name}
    assert len(vision) == told["shared"] and all(torch.equal(merged[n], base[n]) for n in vision)
    assert not any(torch.equal(merged[n], base[n]) for n in base.keys() - vision)
    model, processor = load_model(out), load_processor(out)
    inputs = encode(processor, build_rows(1), True)
    assert torch.isfinite(model(**inputs).logits).all()


def test_linear_is_the_weighted_mean(family, tmp_path):
    merge(family / "sft", family / "rl", family / "base", tmp_path / "m", method="linear", share=0.25)
    expected = 0.25 * weights(family / "sft")[NAME] + 0.75 * weights(family / "rl")[NAME]
    torch.testing.assert_close(weights(tmp_path / "m")[NAME], expected)


def test_parents_in_bfloat16_are_merged_in_float32_and_rounded_once(family, tmp_path):
    for child in ("sft", "rl", "base"):
        shutil.copytree(family / child, tmp_path / child)
        halves = {name: tensor.bfloat16() for name, tensor in weights(family / child).items()}
        save_file(halves, tmp_path / child / "model.safetensors", metadata={"format": "pt"})
    merge(tmp_path / "sft", tmp_path / "rl", tmp_path / "base", tmp_path / "m", method="linear", share=0.3)
    sft, rl = (weights(tmp_path / child)[NAME].float() for child in ("sft", "rl"))
    once = 2**-8 * 1.001  # half of the last of eight places: the sum itself is exact to float32
    torch.testing.assert_close(weights(tmp_path / "m")[NAME].float(), 0.3 * sft + 0.7 * rl, rtol=once, atol=0)


def test_slerp_turns_by_a_share_of_the_angle(family, tmp_path):
    merge(family / "sft", family / "rl", family / "base", tmp_path / "m", method="slerp", share=0.25)
    sft, rl = weights(family / "sft")[NAME].double(), weights(family / "rl")[NAME].double()
    angle = math.acos(float((sft * rl).sum() / sft.norm() / rl.norm()))
    expected = (math.sin(0.75 * angle) * rl + math.sin(0.25 * angle) * sft) / math.sin(angle)
    torch.testing.assert_close(weights(tmp_path / "m")[NAME].double(), expected, rtol=1e-4, atol=1e-6)


def test_ties_trims_elects_a_sign_and_averages_who_agrees(family, tmp_path):
    """Worked by hand on four weights: the two largest differences of each parent stay."""
    for child, difference in (("sft", [0.4, -0.3, 0.1, 0.0]), ("rl", [-0.1, -0.2, 0.3, 0.05])):
        shutil.copytree(family / "base", tmp_path / child)
        tensors = weights(family / "base")
        tensors["model.norm.weight"] = tensors["model.norm.weight"].clone()
        size = len(tensors["model.norm.weight"])
        tensors["model.norm.weight"][:4] += torch.tensor(difference)
        save_file(tensors, tmp_path / child / "model.safetensors", metadata={"format": "pt"})
    # A density of 2 in `size` keeps two weights of each parent.
    merge(tmp_path / "sft", tmp_path / "rl", family / "base", tmp_path / "m", method="ties", share=0.25,
          density=2 / size)  # fmt: skip
    moved = weights(tmp_path / "m")["model.norm.weight"] - weights(family / "base")["model.norm.weight"]
    # Kept: SFT 0.4, -0.3; RL -0.2, 0.3. Second weight: both agree, (0.25 * -0.3 + 0.75 * -0.2) / 1.
    expected = torch.zeros(size)
    expected[:4] = torch.tensor([0.4, -0.225, 0.3, 0.0])
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["linear", "ties", "slerp"])
@pytest.mark.parametrize(("share", "parent"), [(0, "rl"), (1, "sft")])
def test_at_the_ends_the_parent_itself_is_written(family, tmp_path, method, share, parent):
    merge(family / "sft", family / "rl", family / "base", tmp_path / "m", method=method, share=share)
    written, expected = weights(tmp_path / "m"), weights(family / parent)
    assert all(torch.equal(written[name], expected[name]) for name in expected)


def test_parents_of_different_bases_are_refused_by_the_tensor_that_differs(family, tmp_path):
    shutil.copytree(family / "rl", tmp_path / "rl")
    tensors = weights(tmp_path / "rl")
    del tensors[NAME]
    save_file(tensors, tmp_path / "rl" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StudyError, match=NAME):
        merge(family / "sft", tmp_path / "rl", family / "base", tmp_path / "m", method="linear", share=0.5)
