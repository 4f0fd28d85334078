"""The kinds of stages, each with the function that makes it."""

from collections.abc import Callable

from studylib.params.load import Params
from studylib.stages import data, drift, grade, merge, mix, preconditions, sample, select, train
from studylib.store.store import Work

TRAINED = ("sft", "grpo", "interleaved", "progressive")
# Kinds of stages by name; the identity of a stage counts all that its function reaches.
KINDS: dict[str, Callable[[Work, Params], None]] = {
    function.__name__: function
    for function in (
        *(data.questions, data.traces, data.hub_questions, data.hub_traces, mix.distill, mix.no_easy, mix.mix),
        *(sample.sample, grade.grade, grade.judge, grade.levels, select.select, select.select_prompt),
        *(train.sft, train.grpo, train.interleaved, train.progressive, merge.merging),
        *(drift.divergence, preconditions.gate),
    )
}
