from pathlib import Path
from types import SimpleNamespace

import pytest

from studylib.engine.models import add_lora, freeze_vision, load_model, load_processor, never_sampled
from studylib.errors import StudyError
from studylib.paths import ROOT


@pytest.mark.parametrize("load", [load_model, load_processor])
def test_a_missing_folder_is_named_without_asking_the_network(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for path in (tmp_path / "nowhere", "runs/nowhere", "nowhere"):
        with pytest.raises(StudyError, match="nowhere"):
            load(path)
    with pytest.raises(StudyError, match="config.json is missing"):
        load(tmp_path)


def test_a_half_written_weights_file_is_told_in_a_sentence(tiny_base, tmp_path):
    for file in tiny_base.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content[: len(content) // 2] if file.suffix == ".safetensors" else content)
    with pytest.raises(StudyError, match="cannot be read"):
        load_model(tmp_path)


def test_weights_that_are_not_safetensors_are_refused(tiny_base, tmp_path):
    import torch

    (tmp_path / "config.json").write_bytes((tiny_base / "config.json").read_bytes())
    torch.save(load_model(tiny_base).state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(StudyError, match="cannot be read"):
        load_model(tmp_path)


def test_freezing_takes_tower_and_merger_and_nothing_else(tiny_base):
    model = load_model(tiny_base)
    freeze_vision(model)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if ".visual." in name}
    assert any("merger" in name for name in frozen)


def test_lora_adapts_every_linear_layer_of_the_language_model_alone(tiny_base):
    names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    lora = SimpleNamespace(r=4, alpha=8, dropout=0.0, target_modules=names)
    model = add_lora(load_model(tiny_base), lora)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert len(trained) == 2 * 2 * len(names)  # matrices A and B, two layers
    assert all("lora_" in name and ".language_model." in name for name in trained)


def test_picture_and_pad_tokens_are_never_sampled_and_the_end_token_may_be(tiny_base):
    processor = load_processor(tiny_base)
    token = processor.tokenizer.convert_tokens_to_ids
    suppressed = set(never_sampled(processor))
    assert suppressed == {
        token(name)
        for name in (
            "<|endoftext|>",
            "<|vision_start|>",
            "<|vision_end|>",
            "<|vision_pad|>",
            "<|image_pad|>",
            "<|video_pad|>",
        )
    }
    assert processor.tokenizer.eos_token_id not in suppressed


def test_weights_in_the_numbers_of_their_file_are_mapped_and_not_copied(tiny_base):
    """So the processes of a node share one copy of the reference, which is read and never changed."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("memory is read from /proc")

    def anonymous() -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("RssAnon"))

    load_model(ROOT / "models" / "mini-base", "bfloat16")  # what the first one imports
    before = anonymous()
    model = load_model(ROOT / "models" / "mini-base", "bfloat16")
    size = sum(parameter.nbytes for parameter in model.parameters()) / 1024
    assert anonymous() - before < size / 2
