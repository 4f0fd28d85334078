"""Interleaved SFT and RL (paper section 3): GRPO, but a question whose rollouts all fail learns its trace.

    L = 1/B sum over questions of (failed ? weight * mean NLL(trace) : L_GRPO)

A failed question is one whose accuracies are all 0, whatever the format earned. The paper does not state the
weight. Variant: the SFT term on every question, beside the RL loss of those that did not fail.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from studylib.data.rows import column
from studylib.train.encode import targets
from studylib.train.grpo import RolloutTrainer, train_grpo


def losses(
    accuracies: torch.Tensor, rollouts: int, has_trace: torch.Tensor, everywhere: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which questions get the SFT loss and which the RL loss, each (questions,).

    accuracies: (questions * rollouts,), a question's rollouts side by side; has_trace: (questions,).
    """
    failed = (accuracies.view(-1, rollouts) == 0).all(1) & has_trace
    return has_trace if everywhere else failed, ~failed


MEASURED_EVERY = 10  # steps between two readings of the gradients' norms, each of which costs two backward passes
MEASURED_PARAMETERS = 500_000_000  # trained ones: the gradients of both losses are held beside the step's own


class InterleavedTrainer(RolloutTrainer):
    """`weight` of the SFT term; `everywhere` puts it on all questions. A row without a trace keeps the RL loss."""

    def __init__(self, *, weight: float, everywhere: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.weight, self.everywhere = weight, everywhere
        self._gradients: dict[str, list[torch.Tensor]] = {}
        texts = [trace or "" for trace in column(self.rows, "trace")]
        self.targets = targets(self._tokenizer, texts, column(self.rows, "masked"), end=True)

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        local = self.accelerator.process_index * len(prompts)
        self._accuracies = rewards[local : local + len(prompts), 0].cpu()
        return rewards

    def _generate_and_score_completions(self, inputs):
        batch = super()._generate_and_score_completions(inputs)
        rollouts = self.num_generations
        has_trace = torch.tensor([len(self.targets[row].ids) > 0 for row in batch["row"][::rollouts].tolist()])
        taught, reinforced = losses(self._accuracies, rollouts, has_trace, self.everywhere)
        kept = reinforced.repeat_interleave(rollouts)[:, None].to(batch["completion_mask"])
        batch["tool_mask"] = kept * batch["completion_mask"]
        batch["taught"] = self.first_of_group() & taught.repeat_interleave(rollouts)
        self.count_taught(batch, dict(enumerate(self.targets)))
        for name, share in (("taught", taught), ("reinforced", reinforced)):
            self._metrics["train"][name].append(float(share.float().mean()))
        return batch

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        rows = inputs["row"][inputs["taught"]].tolist()
        prompts, wanted = [self.prompts[i] for i in rows], [self.targets[i] for i in rows]
        demonstrations = self.weight * self.demonstration_loss(model, rows, prompts, wanted)
        self._measure({"rl_gradient": loss, "sft_gradient": demonstrations})
        return loss + demonstrations

    def _measure(self, terms: dict[str, torch.Tensor]) -> None:
        """Logs the norm of the gradient of either loss, before clipping, at every `MEASURED_EVERY`th step.

        Only where one process trains few parameters: gradients that are sharded are summed over the processes by
        hooks of the backward pass of the whole loss, and cannot be had of a part of it.
        """
        trained = [p for p in self.model.parameters() if p.requires_grad]
        few = sum(p.numel() for p in trained) <= MEASURED_PARAMETERS
        if self.accelerator.num_processes > 1 or not few or self.state.global_step // self.updates % MEASURED_EVERY:
            return
        for name, term in terms.items():
            gradients = self._gradients.setdefault(name, [torch.zeros_like(p) for p in trained])
            if term.requires_grad:
                parts = torch.autograd.grad(term, trained, retain_graph=True, allow_unused=True)
                for total, part in zip(gradients, parts, strict=True):
                    if part is not None:
                        total += part
        if self.accelerator.sync_gradients:
            for name, gradients in self._gradients.items():
                norm = torch.nn.utils.get_total_norm(gradients)
                self._metrics["train"][name].append(float(norm))
            self._gradients = {}


def train_interleaved(
    model_path: str | Path, rows: Sequence[dict], out: str | Path, *, weight: float, everywhere=False, **settings
) -> dict:
    """As `train_grpo`, which takes the `settings`; rows carry a "trace", and "masked" spans of it where it has some.

    The log has "taught" and "reinforced" (shares of the questions that got the SFT and the RL loss), the number of
    "demonstrations" of a step and their "demonstration_tokens", "sft_loss" and, at some steps, the norms of both
    losses' gradients, "sft_gradient" and "rl_gradient".
    """
    build = partial(InterleavedTrainer, weight=weight, everywhere=everywhere)
    return train_grpo(model_path, rows, out, build=build, **settings)
