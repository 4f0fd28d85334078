"""The mini base with an output head of its own, as Qwen2.5-VL-7B has: what is wrong with such a head shows in it."""

from pathlib import Path

from studylib.paths import ROOT


def untied(out: Path) -> int:
    """Writes it, its head a little other than its embedding; gives its number of parameters."""
    import torch

    from studylib.engine.models import load_model, load_processor

    base = ROOT / "models" / "mini-base"
    model = load_model(base)
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False
    weight = model.get_input_embeddings().weight.detach()
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    model.lm_head.weight = torch.nn.Parameter(weight + 0.01 * weight.std() * noise)
    model.save_pretrained(out)
    load_processor(base).save_pretrained(out)
    return model.num_parameters()
