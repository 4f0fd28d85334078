"""How a token is drawn: temperature, top-k, top-p within the top k, then one uniform number a row."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Sampling:
    """Temperature 0 is greedy; `top_k` 0 and `top_p` 1 leave the distribution whole."""

    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int


def nucleus(logits: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The distribution that tokens are drawn from, as transformers' warpers make it.

    `logits` (rows, vocabulary). Returns probabilities that need not add up to 1, (rows, kept), and the tokens
    they belong to, or None where all tokens are kept in their order.
    """
    logits = logits / sampling.temperature
    if not sampling.top_k and sampling.top_p == 1:
        return logits.softmax(-1), None
    kept, tokens = logits.topk(min(sampling.top_k or logits.shape[-1], logits.shape[-1]))
    probabilities = kept.softmax(-1)
    if sampling.top_p < 1:
        above = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill(above >= sampling.top_p, 0.0)
    return probabilities, tokens


def draw(logits: torch.Tensor, noise: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """A token a row by inverting the cumulative distribution at `noise` (rows,), and its log-probability."""
    if sampling.temperature == 0:
        top = logits.log_softmax(-1).max(-1)
        return top.indices, top.values
    probabilities, tokens = nucleus(logits, sampling)
    cumulative = probabilities.cumsum(-1)
    total = cumulative[:, -1:]
    # Just below 1, so that rounding never lands past the last token that has any probability.
    point = (noise[:, None] * (1 - 2**-22)) * total
    place = torch.searchsorted(cumulative, point, right=True)
    logprob = (probabilities.gather(1, place) / total).log()
    token = place if tokens is None else tokens.gather(1, place)
    return token[:, 0], logprob[:, 0]


def noise_of(seed: int, name: str, sample: int, length: int) -> torch.Tensor:
    """The uniform numbers (length,) of one answer: of seed, question and sample alone, not of the batch."""
    digest = hashlib.sha256(f"{seed}/{name}/{sample}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
    return torch.from_numpy(generator.random(length, dtype=np.float32))
