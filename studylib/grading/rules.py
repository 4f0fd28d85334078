"""The rules: one row and one response in, one grade out. Nothing here starts a process or a model."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from studylib.grading import numbers, verify
from studylib.grading.choices import Options
from studylib.grading.clean import clean, tidy
from studylib.grading.extract import Response, Stated, boxes, joined, read

CORRECT, WRONG, UNPARSED, TRUNCATED, ERROR = "correct", "wrong", "unparsed", "truncated", "grader error"
OUTCOMES = (CORRECT, WRONG, UNPARSED, TRUNCATED, ERROR)
FIELDS = ("question", "question_type", "choices", "answer", "answer_type", "precision", "unit")


class Grade(NamedTuple):
    """What was taken for the answer (None: nothing), one of `OUTCOMES`, and by which rule (or the judge)."""

    extracted: str | None
    outcome: str
    how: str


def grade_by_rules(
    row: Mapping[str, Any], response: str, finish_reason: str, symbolic: verify.Symbolic
) -> Grade:
    """Grade one response. Reads only `FIELDS` of `row`. `finish_reason` "length" makes it truncated whatever it
    says; so does thinking, or a last box, that was never closed."""
    reading = read(response)
    choices = row.get("choices")
    if row.get("question_type") == "multi_choice" and choices:
        extracted, outcome, how = _choice(row, reading)
    else:
        extracted, outcome, how = _free_form(row, reading, symbolic)
    if finish_reason == "length":
        return Grade(extracted, TRUNCATED, how)
    if outcome == UNPARSED and reading.cut:
        return Grade(None, TRUNCATED, "cut")
    return Grade(extracted, outcome, how)


def _choice(row: Mapping[str, Any], reading: Response) -> tuple[str | None, str, str]:
    options = Options([str(c) for c in row["choices"]], str(row["answer"]), row.get("answer_type"))
    stated_value = None
    for stated in reversed(reading.stated):
        for find in (options.by_letter, options.by_text, options.mentioned):
            index = find(stated.text)
            if index is not None:
                return _chosen(options, index, stated.how)
        if stated_value is None and stated.how != "stated":
            stated_value = stated
    if stated_value is not None:
        return tidy(stated_value.text)[:200], WRONG, stated_value.how
    final = reading.final.strip()
    for find in (options.by_letter, options.by_text):
        index = find(final)
        if index is not None:
            return _chosen(options, index, "bare")
    for passage in (_last_sentence(final), final):
        index = options.mentioned(passage)
        if index is not None:
            return _chosen(options, index, "mentioned")
    return None, UNPARSED, "nothing stated"


def _chosen(options: Options, index: int, how: str) -> tuple[str, str, str]:
    return options.letters[index], CORRECT if index in options.gold else WRONG, how


def _last_sentence(text: str) -> str:
    parts = [p for p in re.split(r"(?<=[.!?])\s+(?=[A-Z(\\$])|\n+", text[-3000:].strip()) if p.strip()]
    return parts[-1] if parts else ""


def _gold_text(answer: str) -> str:
    """The gold answer itself: the last box of a worked solution, else the whole text."""
    if "\\boxed" not in answer:
        return answer
    found, _ = boxes(answer)
    return (joined(answer, found, words=False) or found[-1][2]) if found else answer


def _free_form(row: Mapping[str, Any], reading: Response, symbolic: verify.Symbolic) -> tuple[str | None, str, str]:
    gold = _gold_text(clean(str(row["answer"])))
    precision, unit = row.get("precision"), row.get("unit")
    stated = _free_statement(reading, verify.is_list(gold))
    if stated is None:
        return None, UNPARSED, "nothing stated"
    right = verify.equal(gold, stated.text, precision, unit, symbolic)
    return tidy(stated.text)[:200], CORRECT if right else WRONG, stated.how


def _free_statement(reading: Response, gold_is_list: bool) -> Stated | None:
    found, _ = boxes(reading.final)
    for stated in reversed(reading.stated):
        if stated.how == "boxed":
            return Stated(joined(reading.final, found, gold_is_list) or stated.text, "boxed", stated.start)
        value = _value_in(stated.text)
        if value:
            return Stated(value, stated.how, stated.start)
    final = reading.final.strip()
    if 0 < len(final) <= 60 and "\n" not in final and numbers.parse(final):
        return Stated(final, "bare", 0)
    value = _value_in(_last_sentence(final))
    if value is None and len(final) <= 300:
        value = final or None
    return Stated(value, "bare", 0) if value else None


_MATH = re.compile(r"\$\$?([^$]+)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.S)
_NUMBER = re.compile(rf"(?<![\w.])-?[$€£]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+|\s*%)?|{numbers.NUMBER_WORD}", re.I)
_AFTER_IS = re.compile(r"(?:\bis\b|\bare\b|\bwas\b|=|\bequals?\b|\bof\b|\bat\b|\bgives\b)\W*(?:about|approximately|only|around|exactly)?\s*$")


def _value_in(text: str) -> str | None:
    """The value that a short statement gives: the whole of it, its last formula, or its number."""
    whole = tidy(text)
    if numbers.parse(whole):
        return whole
    maths = list(_MATH.finditer(text))
    if maths:
        value = next(g for g in maths[-1].groups() if g)
        return value.split("=")[-1] if value.count("=") and not re.search(r"[<>]", value) else value
    found = list(_NUMBER.finditer(text))
    if not found:
        return whole if re.search(r"\\(?:frac|sqrt|pi)", whole) else None
    if len({m[0] for m in found}) == 1:
        return found[0][0]
    after_is = [m for m in found if _AFTER_IS.search(text[: m.start()])]
    return (after_is or found)[-1][0]
