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
FIELDS = ("question", "question_type", "choices", "answer", "answer_type", "precision", "unit", "answers")
MAX_SHOWN = 200
_LABELLED = re.compile(r"^\s*\([A-Z]{1,2}\)", re.M)


class Grade(NamedTuple):
    """What was taken for the answer (None: nothing), one of `OUTCOMES`, and by which rule (or the judge)."""

    extracted: str | None
    outcome: str
    how: str


def grade_by_rules(row: Mapping[str, Any], response: str, finish_reason: str, symbolic: verify.Symbolic) -> Grade:
    """Grade one response. Reads only `FIELDS` of `row`. `finish_reason` "length" makes it truncated
    whatever it says; so does thinking, or a last box, that was never closed."""
    answer, question = str(row["answer"]), str(row.get("question") or "")
    if response.strip() and response.strip() == answer.strip() and finish_reason != "length":
        return Grade(tidy(clean(answer))[:MAX_SHOWN], CORRECT, "verbatim")
    reading = read(response)
    if reading.cut:
        return Grade(None, TRUNCATED, "cut")
    options = None
    if row.get("question_type") == "multi_choice" and row.get("choices"):
        options = Options(row["choices"], answer, row.get("answer_type"))
        stated = choice_in(options, question, reading)
    else:
        gold = gold_text(answer)
        stated = free_answer_in(reading, gold, question)
    if stated is None and reading.inside and not reading.final.strip():
        found, _ = boxes(reading.inside)
        stated = Stated(found[-1][2], "boxed in the thinking", 0) if found else None
    if stated is None:
        return Grade(None, TRUNCATED if finish_reason == "length" else UNPARSED, "nothing stated")
    shown = tidy(stated.text)[:MAX_SHOWN]
    if finish_reason == "length":
        return Grade(shown, TRUNCATED, stated.how)
    if options is not None:
        gold_letters, letters = {options.letters[i] for i in options.gold}, set(re.findall(r"\b[A-Z]\b", shown))
        right = letters == gold_letters if options.together else stated.text in gold_letters
    else:
        golds = [gold, *map(gold_text, row.get("answers") or [])]
        right = any(verify.equal(each, stated.text, row.get("precision"), row.get("unit"), symbolic) for each in golds)
    return Grade(shown, CORRECT if right else WRONG, stated.how)


def gold_text(answer: str) -> str:
    """The gold answer itself: the last box of a worked solution, else the whole text."""
    answer = clean(answer)
    found, _ = boxes(answer)
    return (joined(answer, found, words=True) or found[-1][2]) if found else answer


def choice_in(options: Options, question: str, reading: Response) -> Stated | None:
    """The option that a response takes, as its letter; a value that is no option, as it stands; or
    nothing."""
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
    sentences = restate.sentences(final)
    closing = sentences[-1] if sentences else ""
    for find in (options.by_letter, options.by_text, options.closing):
        for passage in (final, closing):
            index = find(passage)
            if index is not None:
                return Stated(options.letters[index], "bare", 0)
    if options.yes_no:
        index = _yes_no(options, question, sentences)
        return None if index is None else Stated(options.letters[index], "restated", 0)
    if len(_LABELLED.findall(final)) > 1:
        return None
    passages = [closing, restate.restating(question, sentences), final if len(final) <= 300 else None]
    for passage in filter(None, passages):
        for find in (options.mentioned, options.worded):
            index = find(passage)
            if index is not None and (restate.concludes(passage) or not options.others(index, final)):
                return Stated(options.letters[index], "mentioned", 0)
    return None


def _yes_no(options: Options, question: str, sentences: list[str]) -> int | None:
    """Yes or no from sentences that begin with it, else from those that restate the question; if they
    agree."""
    begun = {m[1].lower() for s in sentences if (m := re.match(r"\W*(yes|no)\b(?=\W|$)", s, re.I))}
    said = begun or {restate.yes_or_no(question, s) for s in sentences} - {None}
    return options.normal.index(said.pop()) if len(said) == 1 else None


def free_answer_in(reading: Response, gold: str, question: str) -> Stated | None:
    """The value that a response gives to a question without options. Of the gold answer only its kind is
    used: a list lets several boxes be one answer, a word lets a statement in words be one."""
    in_words = not re.search(r"[\d\\]", tidy(gold))
    for stated in reversed(reading.stated):
        if stated.how == "boxed":
            found, _ = boxes(reading.final)
            return Stated(joined(reading.final, found, verify.is_list(gold)) or stated.text, "boxed", stated.start)
        value = value_in(stated.text, question) or (stated.text if in_words else None)
        if value:
            return Stated(value, stated.how, stated.start)
    final = reading.final.strip()
    sentences = restate.sentences(final)
    passages = [final] if len(final) <= 200 else [sentences[-1], restate.restating(question, sentences)]
    value = next((v for passage in passages if passage and (v := value_in(passage, question))), None)
    if value is None and in_words and len(final) <= 100:
        value = final or None
    return Stated(value, "bare", 0) if value else None
