"""Grades with a judge behind the rules: what it is asked, how often, and how far it agrees with them."""

import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from studylib.grading import Grade
from studylib.grading.judge import Judge
from studylib.grading.rules import CORRECT, UNPARSED, WRONG
from studylib.params import schema


def judged(
    rows: Sequence[Mapping[str, Any]], grades: Sequence[Grade], settings: schema.Judge, cache: Path
) -> tuple[list[Grade], dict[str, Any]]:
    """The grades with every unparsed one put to the judge (`how` is then "judge"), and facts for the manifest.

    rows: questions with their `response`. Facts: `share` of all responses that the judge was asked about, `decided`
    of these; and of `audited` responses that the rules decided, drawn by a fixed seed, the share `agreement` where
    both say the same, those that the judge cannot read left out. Raises StudyError where it does not answer.
    """
    judge = Judge(settings.base_url, settings.model, cache)
    unparsed = [i for i, grade in enumerate(grades) if grade.outcome == UNPARSED]
    decided = [i for i, grade in enumerate(grades) if grade.outcome in (CORRECT, WRONG)]
    audit = random.Random(0).sample(decided, min(settings.audit, len(decided)))
    verdicts = _ask(judge, rows, [*unparsed, *audit], settings.at_once)
    audited = [(grades[i].outcome, verdicts[i].outcome) for i in audit if verdicts[i].outcome != UNPARSED]
    facts = {
        "model": settings.model,
        "share": round(len(unparsed) / len(grades), 4) if grades else 0.0,
        "decided": sum(verdicts[i].outcome != UNPARSED for i in unparsed),
        "audited": len(audited),
        "agreement": round(sum(rules == other for rules, other in audited) / len(audited), 4) if audited else None,
    }
    return [verdicts[i] if grade.outcome == UNPARSED else grade for i, grade in enumerate(grades)], facts


def _ask(judge: Judge, rows: Sequence[Mapping[str, Any]], places: Sequence[int], at_once: int) -> dict[int, Grade]:
    """Verdicts by place; the same response to the same question is asked once."""
    firsts: dict[tuple[str, str], int] = {}
    for i in places:
        firsts.setdefault((rows[i]["id"], rows[i]["response"] or ""), i)
    with ThreadPoolExecutor(at_once) as pool:
        answers = pool.map(lambda i: judge.grade(rows[i], rows[i]["response"] or ""), firsts.values())
        verdicts = dict(zip(firsts, answers, strict=True))
    return {i: verdicts[rows[i]["id"], rows[i]["response"] or ""] for i in places}
