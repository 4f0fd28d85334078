"""The rules: one row and one response in, one grade out. Nothing here starts a process or a model."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from studylib.grading import restate, verify
from studylib.grading.choices import Options
from studylib.grading.clean import clean, tidy
from studylib.grading.extract import Response, Stated, boxes, joined, read
from studylib.grading.values import value_in

CORRECT, WRONG, UNPARSED, TRUNCATED, ERROR = "correct", "wrong", "unparsed", "truncated", "grader error"
OUTCOMES = (CORRECT, WRONG, UNPARSED, TRUNCATED, ERROR)
FIELDS = ("question", "question_type", "choices", "answer", "answer_type", "precision", "unit")
MAX_SHOWN = 200


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
    if reading.cut:
        return Grade(None, TRUNCATED, "cut")
    options = None
    if row.get("question_type") == "multi_choice" and row.get("choices"):
        options = Options(row["choices"], str(row["answer"]), row.get("answer_type"))
        stated = choice_in(options, str(row.get("question") or ""), reading)
    else:
        gold = gold_text(str(row["answer"]))
        stated = free_answer_in(reading, verify.is_list(gold), str(row.get("question") or ""))
    if stated is None and reading.inside and not reading.final.strip():
        found, _ = boxes(reading.inside)
        stated = Stated(found[-1][2], "boxed in the thinking", 0) if found else None
    if stated is None:
        return Grade(None, TRUNCATED if finish_reason == "length" else UNPARSED, "nothing stated")
    shown = tidy(stated.text)[:MAX_SHOWN]
    if finish_reason == "length":
        return Grade(shown, TRUNCATED, stated.how)
    if options is not None:
        right = stated.text in {options.letters[i] for i in options.gold}
    else:
        right = verify.equal(gold, stated.text, row.get("precision"), row.get("unit"), symbolic)
    return Grade(shown, CORRECT if right else WRONG, stated.how)


def gold_text(answer: str) -> str:
    """The gold answer itself: the last box of a worked solution, else the whole text."""
    answer = clean(answer)
    found, _ = boxes(answer)
    return (joined(answer, found, words=True) or found[-1][2]) if found else answer


def last_sentence(text: str) -> str:
    parts = [p for p in re.split(r"(?<=[.!?])\s+(?=[A-Z(\\$])|\n+", text[-3000:].strip()) if p.strip()]
    return parts[-1] if parts else ""


def choice_in(options: Options, question: str, reading: Response) -> Stated | None:
    """The option that a response takes, as its letter; a value that is no option, as it stands; or nothing."""
    value = None
    for stated in reversed(reading.stated):
        for find in (options.by_letter, options.by_text, options.mentioned):
            index = find(stated.text)
            if index is not None:
                return Stated(options.letters[index], stated.how, stated.start)
        if value is None and stated.how != "stated":
            value = stated
    if value is not None:
        return value
    final = reading.final.strip()
    closing = last_sentence(final)
    for find in (options.by_letter, options.by_text):
        for passage in (final, closing):
            index = find(passage)
            if index is not None:
                return Stated(options.letters[index], "bare", 0)
    if options.yes_no:
        index = _yes_no(options, question, final)
        return None if index is None else Stated(options.letters[index], "restated", 0)
    for passage in (closing, final):
        for find in (options.mentioned, options.worded):
            index = find(passage)
            if index is not None:
                return Stated(options.letters[index], "mentioned", 0)
    return None


def _yes_no(options: Options, question: str, final: str) -> int | None:
    """Yes or no from sentences that begin with it, else from those that restate the question; if they agree."""
    sentences = [s for s in re.split(r"(?<=[.!?])\s+|\n+", final[-3000:]) if s.strip()]
    begun = {m[1].lower() for s in sentences if (m := re.match(r"\W*(yes|no)\b(?=\W|$)", s, re.I))}
    said = begun or {restate.yes_or_no(question, s) for s in sentences} - {None}
    return options.normal.index(said.pop()) if len(said) == 1 else None


def free_answer_in(reading: Response, gold_is_list: bool, question: str) -> Stated | None:
    """The value that a response gives to a question without options."""
    for stated in reversed(reading.stated):
        if stated.how == "boxed":
            found, _ = boxes(reading.final)
            return Stated(joined(reading.final, found, gold_is_list) or stated.text, "boxed", stated.start)
        value = value_in(stated.text, question)
        if value:
            return Stated(value, stated.how, stated.start)
    final = reading.final.strip()
    value = value_in(final, question) if len(final) <= 200 else value_in(last_sentence(final), question)
    if value is None and len(final) <= 100:
        value = final or None
    return Stated(value, "bare", 0) if value else None
