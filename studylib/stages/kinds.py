"""The kinds of stages, each with the function that makes it."""

from collections.abc import Callable

from studylib.params.load import Params
from studylib.stages import data, gate, grade, merge, mix, sample, select, token_kl, train
from studylib.store.store import Work

TRAINED = ("sft", "grpo", "interleaved", "progressive")
# Kinds of stages; the identity of a stage counts all that its function reaches.
KINDS: dict[str, Callable[[Work, Params], None]] = {
    "questions": data.questions,
    "traces": data.traces,
    "hub_questions": data.hub_questions,
    "hub_traces": data.hub_traces,
    "sample": sample.sample,
    "grade": grade.grade,
    "judge": grade.judge,
    "levels": grade.levels,
    "sft": train.sft,
    "grpo": train.grpo,
    "select": select.select,
    "select_prompt": select.select_prompt,
    "interleaved": train.interleaved,
    "progressive": train.progressive,
    "merging": merge.merging,
    "distill": mix.distill,
    "no_easy": mix.no_easy,
    "mix": mix.mix,
    "divergence": token_kl.divergence,
    "gate": gate.gate,
}
