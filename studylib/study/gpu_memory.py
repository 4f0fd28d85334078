"""GPU memory of training and sampling, in bytes a GPU, from the architecture and the sizes asked for.

Training as studylib.train does it: weights, gradients and Adam's two moments in float32 (16 bytes a trained
parameter, as in ZeRO, arXiv 1910.02054, section 3.1), work in bfloat16, all state sharded over the GPUs
(FSDP2, ZeRO-3), each decoder layer checkpointed, the vocabulary's logits never held whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from studylib.study.architecture import Architecture

GIB = 2**30
BLOCK = 1024  # positions whose logits are held at once
ENGINE_TOKENS = 8192  # prompt tokens that vLLM reads at once


@dataclass(frozen=True)
class Memory:
    """Bytes a GPU. `sequences` are the answers that the cache holds at once at full length, of `wanted`."""

    weights: float = 0
    gradients: float = 0
    optimizer: float = 0
    activations: float = 0
    cache: float = 0
    sequences: int = 0
    wanted: int = 0

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations + self.cache


def state(trained: float, frozen: float, shards: int) -> tuple[float, float, float]:
    """Weights, gradients and moments in float32, sharded."""
    return 4 * (trained + frozen) / shards, 4 * trained / shards, 8 * trained / shards


def trained_parameters(arch: Architecture, config: dict[str, Any]) -> int:
    """Without the frozen vision tower; with LoRA the adapters alone."""
    return arch.adapters(config["lora"]["r"]) if config["lora"] else arch.language


def activations(arch: Architecture, tokens: int, pictures: int) -> float:
    """Kept inputs of every layer, one layer at work forward and back, a block of logits, the vision tower's layer.

    The bytes a token of a layer at work were measured in small (tests/peak_memory.py).
    """
    kept = 4 * arch.layers * arch.hidden * tokens
    at_work = tokens * (40 * arch.hidden + 12 * arch.intermediate)
    logits = 16 * min(tokens, BLOCK) * arch.vocabulary
    seen = 4 * arch.picture * pictures * (40 * arch.vision_hidden + 12 * arch.vision_intermediate)
    return kept + at_work + logits + seen


def training(arch: Architecture, config: dict[str, Any], response: int, shards: int) -> Memory:
    """SFT or the update of GRPO (`config` is the params' section) with responses of at most `response` tokens."""
    trained = trained_parameters(arch, config)
    frozen = arch.parameters if config["lora"] else arch.vision
    weights, gradients, optimizer = state(trained, frozen, shards)
    # In bfloat16: all trained weights where they are whole (autocast keeps them), else what is in use at once.
    whole = shards == 1 and not config["lora"]
    weights += 2 * (arch.parameters if whole else 2 * arch.layer + arch.embedding)
    if config.get("beta") and not config["lora"]:
        weights += 4 * arch.parameters / shards  # the reference policy
    work = activations(arch, config["micro_batch"] * (arch.prompt + response), config["micro_batch"])
    return Memory(weights, gradients, optimizer, work)


def sampling(arch: Architecture, answers: int, response: int, room: float, value: int = 2) -> Memory:
    """vLLM on one GPU: whole weights, and as much cache for `answers` at once as `room` bytes leave.

    `value` is the bytes of a number, 2 in bfloat16. The cache is never less than one answer at full length.
    """
    weights = value * arch.parameters
    work = ENGINE_TOKENS * 2 * (3 * arch.hidden + 3 * arch.intermediate) + 8 * answers * arch.vocabulary
    each = value * arch.cache_values * (arch.prompt + response)
    fitting = min(answers, max(1, int((room - weights - work) // each)))
    return Memory(weights=weights, activations=work, cache=fitting * each, sequences=fitting, wanted=answers)


def rl(arch: Architecture, config: dict[str, Any], shards: int, room: float) -> Memory:
    """GRPO with vLLM beside the trainer on every GPU (colocate), each with its share of the rollouts."""
    update = training(arch, config, config["max_new_tokens"], shards)
    rollouts = -(-config["prompts_per_step"] * config["rollouts"] // shards)
    engine = sampling(arch, rollouts, config["max_new_tokens"], room - update.total)
    return Memory(
        update.weights + engine.weights,
        update.gradients,
        update.optimizer,
        update.activations + engine.activations,
        engine.cache,
        engine.sequences,
        engine.wanted,
    )


def divergence(arch: Architecture, response: int) -> Memory:
    """Two whole models in float32 read one response; the logits of a block of it in both."""
    tokens = arch.prompt + response
    work = tokens * (12 * arch.hidden + 12 * arch.intermediate) + 5 * 4 * BLOCK * arch.vocabulary
    return Memory(weights=2 * 4 * arch.parameters, activations=work)
