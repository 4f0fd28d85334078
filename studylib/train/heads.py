"""What makes a small model fast to train: its scoring of responses, and its attention."""

import functools
import types

import torch
from trl.trainer.utils import FusedCausalLMOutput

from studylib.train.sharding import gathered_head

SMALL_VOCABULARY = 8192


def plain_attention(model) -> None:
    """Off the GPU, attention without torch's fused kernel, whose backward pass is slow there.

    Careful traces in micro-batches of 16 train 1.5 times as fast.
    """
    if not torch.cuda.is_available():
        model.model.language_model.config._attn_implementation = "eager"


def light_head(model, temperature: float = 1.0, entropy: bool = False) -> None:
    """Replace TRL's fused LM head by plain logits of the scored positions alone, if the vocabulary is small.

    TRL's head never holds the logits: right for 150,000 tokens, but off the GPU it scores every position, prompts
    too, and at the mini vocabulary it took a sixth of a training step. Outputs are the same fields.
    """
    if model.config.get_text_config().vocab_size > SMALL_VOCABULARY:
        gathered_head(model)
        return
    before = model.forward

    @functools.wraps(type(model).forward)  # `generate` checks its keywords against the signature
    def forward(self, *args, fused_lm_head=False, **kwargs):
        if not fused_lm_head:
            return before(*args, **kwargs)
        labels = kwargs.pop("shift_labels")
        mask = labels != -100
        hidden = self.base_model(*args, **{**kwargs, "use_cache": False}).last_hidden_state
        log_probs = (self.lm_head(hidden[mask]).float() / temperature).log_softmax(-1)

        def spread(values: torch.Tensor) -> torch.Tensor:
            return values.new_zeros(mask.shape).masked_scatter(mask, values)

        with torch.no_grad():
            surprise = spread(-(log_probs.exp() * log_probs).sum(-1)) if entropy else None
            top = spread(log_probs.argmax(-1) == labels[mask])
        return FusedCausalLMOutput(
            log_probs=spread(log_probs.gather(-1, labels[mask][:, None])[:, 0]),
            entropy=surprise,
            is_top1=top,
            label_mask=mask,
        )

    model.forward = types.MethodType(forward, model)
