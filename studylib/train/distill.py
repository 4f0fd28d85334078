"""Self-distillation: the shortest correct response a query (Eureka-Distill, paper 2.1)."""

from __future__ import annotations

from collections.abc import Sequence


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
