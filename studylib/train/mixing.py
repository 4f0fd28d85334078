"""Training data from answers: data mixing (paper section 3) and the distilled set, Eureka-Distill (paper 2.1)."""

from collections.abc import Mapping, Sequence


def mix(
    rows: Sequence[dict],
    completions: Sequence[Sequence],
    grades: Sequence[Sequence],
    traces: Mapping[str, Sequence[str]],
) -> list[dict]:
    """Rows for SFT from the base, each with a "trace" and its "source" ("rl" or "trace").

    completions[i], grades[i]: the RL model's samples of row i (`.text`) and their grades (`.outcome`); every correct
    one is kept. Where none is, every trace of `traces[row["id"]]` is added: the paper's counts (13k traces for at
    most 5,250 questions) need several a question.
    """
    mixed = []
    for row, samples, outcomes in zip(rows, completions, grades, strict=True):
        texts = [s.text for s, g in zip(samples, outcomes, strict=True) if g.outcome == "correct"]
        source = "rl" if texts else "trace"
        texts = texts or traces.get(row["id"], [])
        mixed += [{**row, "trace": text, "source": source} for text in texts]
    return mixed


def shortest_correct(rows: Sequence[dict], completions: Sequence[Sequence], grades: Sequence[Sequence]) -> list[dict]:
    """Rows with "trace" set to their shortest correct completion, in row order; one without is left out.

    completions[i], grades[i]: the samples of row i (`.text`, `.tokens`) and their grades (`.outcome`). Of
    equally short ones the first sampled is kept.
    """
    kept = []
    for row, samples, outcomes in zip(rows, completions, grades, strict=True):
        correct = [s for s, g in zip(samples, outcomes, strict=True) if g.outcome == "correct"]
        if correct:
            kept.append({**row, "trace": min(correct, key=lambda sample: sample.tokens).text})
    return kept
