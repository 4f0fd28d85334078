"""Progressive SFT to RL (paper section 3): hard questions start from a trace prefix that shrinks to nothing.

    L = 1/B sum over questions of (L_GRPO on the own tokens + weight * 1/G sum_i NLL(prefix) / |o_i|),  weight 0.2

A response o_i is the prefix and the own tokens after it, so that a prefix token weighs no more when less is given.

Hard is a pass rate of 0, fixed beforehand. Accuracy and format are graded on prefix and completion together. The
paper does not state the schedule: ours is a cosine from 1 to 0 over the first `until` of the steps.
"""

import math
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from studylib.data.rows import column
from studylib.errors import StudyError
from studylib.params.schema import Rl
from studylib.train.encode import Prompt, Target, targets
from studylib.train.grpo import RolloutTrainer, train_grpo

_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")


def prefix_share(step: int, steps: int, until: float) -> float:
    """Share of the trace that is given at a step counted from 0: 1 at first, 0 from `until * steps` on."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, step / (until * steps))))


def cut(trace: str, share: float) -> str:
    """The longest beginning that ends a sentence and is no longer than `share` of the thought.

    The thought ends before its `</think>`: what closes it, and the answer, are always left to the model.
    """
    thought = trace.rfind("</think>")
    limit = share * (thought if thought >= 0 else max(trace.rfind(r"\boxed"), 0))
    ends = [match.end() for match in _SENTENCE_END.finditer(trace) if match.end() <= limit]
    return trace[: ends[-1]] if ends else ""


class ProgressiveTrainer(RolloutTrainer):
    """Rows with "pass_rate" 0 and a "trace" get a prefix; `steps` counts generation batches."""

    def __init__(self, *, steps: int, until: float, weight: float, **kwargs):
        rows = kwargs["rows"]
        known = zip(column(rows, "pass_rate"), column(rows, "trace"), strict=True)
        self.hard = {i for i, (rate, trace) in enumerate(known) if rate == 0 and trace}
        self.steps, self.until, self.weight = steps, until, weight
        self.prefixes: dict[int, tuple[str, Target]] = {}
        super().__init__(**kwargs)

    def prompt_lengths(self) -> list[int]:
        """As without prefixes, and on hard questions the longest prefix after the prompt."""
        lengths, hard = super().prompt_lengths(), sorted(self.hard)
        longest = [cut(self.texts[i]["trace"], 1.0) for i in hard]
        for i, target in zip(hard, targets(self.prompts.processor.tokenizer, longest, [None] * len(hard)), strict=True):
            lengths[i] += len(target.ids)
        return lengths

    def _generate_and_score_completions(self, inputs):
        share = prefix_share(self.state.global_step // self.updates, self.steps, self.until)
        rows = sorted({example["row"] for example in inputs} & self.hard)
        texts = [cut(self.texts[i]["trace"], share) for i in rows]
        wanted = targets(self._tokenizer, texts, [self.texts[i].get("masked") for i in rows])
        self.prefixes = {i: (text, t) for i, text, t in zip(rows, texts, wanted, strict=True) if len(t.ids)}
        batch = super()._generate_and_score_completions(inputs)
        prefixed = torch.tensor([i in self.prefixes for i in self._batch_rows])
        batch["taught"] = self.first_of_group() & prefixed
        batch["response_length"] = self._response_lengths(batch["completion_mask"])
        self.count_taught(batch, {i: target for i, (_, target) in self.prefixes.items()})
        metrics = self._metrics["train"]
        metrics["prefix_share"].append(share)
        metrics["taught"].append(float(prefixed.float().mean()))
        if self.prefixes:
            lengths = [len(target.ids) for _, target in self.prefixes.values()]
            metrics["prefix_length"].append(sum(lengths) / len(lengths))
        return batch

    def _response_lengths(self, completion_mask: torch.Tensor) -> torch.Tensor:
        """Tokens of prefix and completion (rows,), as the harmonic mean of a question's rollouts: 1/G sum_i 1/|o_i|
        is one over it."""
        prefix = [int(self.prefixes[i][1].counts.sum()) if i in self.prefixes else 0 for i in self._batch_rows]
        lengths = torch.tensor(prefix) + completion_mask.sum(1).cpu()
        mean = 1 / (1 / lengths.view(-1, self.num_generations)).mean(1)
        return mean.repeat_interleave(self.num_generations)

    def _prompt(self, row: int) -> Prompt:
        prompt = self.prompts[row]
        return prompt.followed_by(self.prefixes[row][1].ids) if row in self.prefixes else prompt

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        whole = [
            self.prefixes[example["row"]][0] + answer if example["row"] in self.prefixes else answer
            for example, answer in zip(inputs, completions, strict=True)
        ]
        return super()._calculate_rewards(inputs, prompts, whole, completion_ids_list)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        rows = inputs["row"][inputs["taught"]].tolist()
        prompts, wanted = [self.prompts[i] for i in rows], [self.prefixes[i][1] for i in rows]
        over = inputs["response_length"][inputs["taught"]].to(loss.device)
        return loss + self.weight * self.demonstration_loss(model, rows, prompts, wanted, over)


def train_progressive(
    model_path: str | Path,
    rows: Sequence[dict],
    out: str | Path,
    *,
    config: Rl,
    weight: float,
    until: float,
    **settings,
) -> dict:
    """As `train_grpo`, which takes the `settings`; rows carry a "trace" and a "pass_rate" measured beforehand.

    The log has "prefix_share" (of the trace), "taught" (share of rollouts that start from a prefix), "sft_loss" and
    "prefix_length" (mean tokens of the questions that have a prefix).
    """
    rates = column(rows, "pass_rate")
    if None in rates:
        name = column(rows, "id")[rates.index(None)]
        raise StudyError(f"Row {name} has no pass_rate: sample the base on the queries first.")
    build = partial(ProgressiveTrainer, steps=config.steps, until=until, weight=weight)
    return train_grpo(model_path, rows, out, config=config, build=build, **settings)
