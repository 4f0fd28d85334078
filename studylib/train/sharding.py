"""What FSDP2 needs beyond what TRL and accelerate do for it: the output head, precision, the reference model."""

import dataclasses
import functools
import types

import torch
from torch.distributed.fsdp import FSDPModule


def gathered_head(model) -> None:
    """Let a sharded model gather its output head before TRL's fused head reads it.

    accelerate makes the untied head an FSDP unit of its own, and TRL's fused head reads its weight without calling it:
    FSDP never gathers it, and each process trains its shard on the gradient of its own rows alone. Gathered here, the
    head is reduced with all others as the backward pass ends.
    """
    before = model.forward

    @functools.wraps(type(model).forward)  # `generate` checks its keywords against the signature
    def forward(self, *args, fused_lm_head=False, **kwargs):
        head = self.get_output_embeddings()
        if not fused_lm_head or not isinstance(head, FSDPModule):
            return before(*args, fused_lm_head=fused_lm_head, **kwargs)
        head.unshard()
        outputs = before(*args, fused_lm_head=True, **kwargs)
        if not torch.is_grad_enabled():
            head.reshard()
        return outputs

    model.forward = types.MethodType(forward, model)


def float_outputs(accelerator) -> None:
    """Let a sharded model hand out what it computed: accelerate rounds outputs, log-probabilities too, to bfloat16."""
    plugin = getattr(accelerator.state, "fsdp_plugin", None)
    if plugin is not None and plugin.mixed_precision_policy is not None:
        plugin.mixed_precision_policy = dataclasses.replace(plugin.mixed_precision_policy, output_dtype=None)


def shard_reference_by_layers() -> None:
    """Let TRL shard the reference model as accelerate shards the policy.

    TRL makes one unit of it, so that each pass gathers all of its weights at once.
    """
    from accelerate.utils.fsdp_utils import fsdp2_prepare_model
    from trl.trainer import grpo_trainer

    def prepare(model, accelerator):
        return fsdp2_prepare_model(accelerator, model).eval()

    grpo_trainer.prepare_fsdp = prepare
