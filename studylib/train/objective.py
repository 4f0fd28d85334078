"""What GRPO maximises (paper 2.2; arXiv 2402.03300, equations 3 and 4), an equation a function.

TRL computes it in training; tests/test_grpo.py holds TRL to these. Log-probabilities are of the tokens of the answers,
(answers, tokens): `new` under the policy in training, `old` under the one that wrote the answers, `ref` under the base.
"""

import torch
from torch import Tensor


def advantages(rewards: Tensor, rollouts: int) -> Tensor:
    """A_i = (R_i - mean R) / std R, over the `rollouts` answers to one question, which stand together: (answers,).

    As in TRL, the deviation is that of a sample, with 1e-4 added: where all rewards are equal, A is 0.
    """
    groups = rewards.view(-1, rollouts)
    centred = groups - groups.mean(1, keepdim=True)
    return (centred / (groups.std(1, keepdim=True) + 1e-4)).flatten()


def clipped_gain(new: Tensor, old: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
    """min(r A, clip(r, 1 - epsilon, 1 + epsilon) A), r = new / old probability: nothing is gained beyond the clip."""
    ratio, advantage = (new - old).exp(), advantage[:, None]
    return torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)


def k3(new: Tensor, ref: Tensor) -> Tensor:
    """ref / new - log(ref / new) - 1: never negative, and its mean over the policy's own tokens is KL(new || ref)."""
    return (ref - new).exp() - (ref - new) - 1


def grpo_loss(
    new: Tensor, old: Tensor, ref: Tensor, advantage: Tensor, mask: Tensor, *, epsilon: float, beta: float
) -> Tensor:
    """-J = -mean over answers of the mean over an answer's tokens of [gain - beta KL]. mask: 1 for its tokens."""
    gain = clipped_gain(new, old, advantage, epsilon) - beta * k3(new, ref)
    return -((gain * mask).sum(1) / mask.sum(1)).mean()
