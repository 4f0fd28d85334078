"""The rules: one row and one response in, one grade out. Nothing here starts a process or a model."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from studylib.grading import forms, quantities, restate, verify
from studylib.grading.choices import Options
from studylib.grading.clean import clean, tidy
from studylib.grading.extract import Response, Stated, boxes, joined, read
from studylib.grading.values import is_expression, phrases_in, value_in

CORRECT, WRONG, UNPARSED, TRUNCATED, ERROR = "correct", "wrong", "unparsed", "truncated", "grader error"
OUTCOMES = (CORRECT, WRONG, UNPARSED, TRUNCATED, ERROR)
FIELDS = ("question", "question_type", "choices", "answer", "answers", "answer_type", "precision", "unit")
MAX_SHOWN = 200
_WORKED = re.compile(r"∵|∴|\b(?:therefore|thus|hence)\b|故|所以|因此", re.I)
_INVERTED = re.compile(r"\b(?:not|incorrect|false|wrong|except|untrue)\b|错误|不正确|不是", re.I)
_LETTERED = re.compile(
    r"^(?i:(?:the )?(?:correct )?(?:option|choice|answer)\s*(?:is\s*)?)?\(?([A-Z])\)?"
    r"(?:$|[.:,)]|\s+(?:because|since|as)\b)"
)
_LABELLED = re.compile(r"^\s*\([A-Z]{1,2}\)", re.M)


class Grade(NamedTuple):
    """What was taken for the answer (None: nothing), one of `OUTCOMES`, and by which rule (or the judge)."""

    extracted: str | None
    outcome: str
    how: str


def grade_by_rules(row: Mapping[str, Any], response: str, finish_reason: str, symbolic: verify.Symbolic) -> Grade:
    """Grade one response. Reads only `FIELDS` of `row`; of several `answers` any will do. `finish_reason` "length"
    makes it truncated whatever it says; so does thinking, or a last box, that was never closed."""
    answers = [str(answer) for answer in row.get("answers") or [row["answer"]]]
    question = str(row.get("question") or "")
    if response.strip() in {answer.strip() for answer in answers} - {""} and finish_reason != "length":
        return Grade(tidy(clean(response))[:MAX_SHOWN], CORRECT, "verbatim")
    reading = read(response)
    if reading.cut:
        return Grade(None, TRUNCATED, "cut")
    options, readings = None, []
    if row.get("question_type") == "multi_choice" and row.get("choices"):
        options = Options(row["choices"], answers, row.get("answer_type"))
        stated = letters_in(options, reading) if options.together else choice_in(options, question, reading)
    else:
        golds = [gold_text(answer) for answer in answers]
        readings = [(gold, *free_answer_in(reading, gold, question)) for gold in golds]
        stated = next((statement for _, statement, _ in readings if statement), None)
    if stated is None and reading.inside and not reading.final.strip():
        closed, _ = boxes(reading.inside)
        stated = Stated(closed[-1][2], "boxed in the thinking", 0) if closed else None
        readings = [(gold, stated, [stated.text]) for gold, *_ in readings if stated]
        if stated and options is not None:
            index = options.by_letter(stated.text)
            stated = stated if index is None else replace(stated, text=options.letters[index])
    if stated is None:
        return Grade(None, TRUNCATED if finish_reason == "length" else UNPARSED, "nothing stated")
    if finish_reason == "length":
        return Grade(tidy(stated.text)[:MAX_SHOWN], TRUNCATED, stated.how)
    if options is not None:
        right = stated.text if stated.text in options.right else None
    else:
        precision, unit = row.get("precision"), row.get("unit")
        pairs = ((gold, text) for gold, _, texts in readings for text in texts)
        right = next((text for gold, text in pairs if verify.equal(gold, text, precision, unit, symbolic)), None)
    return Grade(tidy(right or stated.text)[:MAX_SHOWN], WRONG if right is None else CORRECT, stated.how)


@lru_cache(maxsize=4096)
def gold_text(answer: str) -> str:
    """The gold answer itself: the last box of a worked solution, what its last sentence arrives at, else the whole
    text."""
    answer = clean(answer)
    closed, _ = boxes(answer)
    if closed:
        return joined(answer, closed, words=True) or closed[-1][2]
    if _WORKED.search(answer) and len(answer) > 25:
        closing = re.split(r"∴|\b(?:therefore|thus|hence)\b|故|所以|因此", answer.rstrip(" .。"), flags=re.I)[-1]
        value = value_in(closing.strip(" ,:")) or answer
        last = value.rpartition("=")[2]
        return last if re.search(r"\d", last) else value
    return answer


def choice_in(options: Options, question: str, reading: Response) -> Stated | None:
    """The option that a response takes, as its letter; a value that is no option, as it stands; or
    nothing."""
    value = None
    final = reading.final.strip()
    if reading.later:
        index = next(
            (i for s in reversed(restate.sentences(reading.later)) if (i := _named(options, s)) is not None), None
        )
        if index is not None:
            return Stated(options.letters[index], "stated", 0)
    for stated in (*reversed(reading.boxed), *reversed(reading.stated)):
        texts = phrases_in(stated.text)[:0:-1] if stated.how == "boxed" and not is_expression(tidy(stated.text)) else []
        for text in (stated.text, *texts):
            for find in (options.by_letter, options.by_text, options.mentioned):
                index = find(text)
                if index is not None:
                    return Stated(options.letters[index], stated.how, stated.start)
        if value is None and stated.how != "stated":
            value = stated
    if value is not None:
        return value
    sentences = [s for s in restate.sentences(final) if not restate.supposes(s)]
    closing = sentences[-1] if sentences else ""
    index = options.ticked(final, bool(_INVERTED.search(question)))
    if index is None:
        index = next((i for passage in (final, closing) if (i := _named(options, passage)) is not None), None)
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


def _named(options: Options, passage: str) -> int | None:
    finds = (options.by_letter, options.by_text, options.closing)
    return next((index for find in finds if (index := find(passage)) is not None), None)


def letters_in(options: Options, reading: Response) -> Stated | None:
    """The letters that a response takes where the question wants several, as "A, C": of the last box or run of
    boxes, else of the last statement or sentence that names any."""
    closed, _ = boxes(reading.final)
    run = joined(reading.final, closed, words=True)
    closing = restate.sentences(reading.final)[-1:]
    texts = [run] if run else [*(s.text for s in reversed((*reading.stated, *reading.boxed))), *closing]
    for text in texts:
        letters = options.several(text)
        if letters:
            return Stated(", ".join(letters), "boxed" if reading.boxed else "stated", 0)
    return None


def _yes_no(options: Options, question: str, sentences: list[str]) -> int | None:
    """Yes or no from sentences that begin with it, else from those that restate the question; if they
    agree."""
    opening = {m[1].lower() for s in sentences if (m := re.match(r"\W*(yes|no)\b(?=\W|$)", s, re.I))}
    answers = opening or {restate.yes_or_no(question, s) for s in sentences} - {None}
    return options.normal.index(answers.pop()) if len(answers) == 1 else None


def free_answer_in(reading: Response, gold: str, question: str) -> tuple[Stated | None, list[str]]:
    """What a response gives to a question without options, and the readings of it that may be compared. Of the gold
    answer only its kind is used: one of several parts lets several boxes be one answer, one in words lets a
    statement in words be one."""
    number = quantities.parse(gold) is not None
    parts = 1 if number else len(forms.parts(gold).parts)
    in_words = not number and (parts > 1 or not is_expression(tidy(gold)))
    letter = re.fullmatch(r"[A-Z]", tidy(gold))

    def versions(text: str) -> list[str]:
        value = value_in(text, question)
        lettered = [m[1]] if letter and (m := _LETTERED.match(tidy(text))) else []
        return lettered + ([value] if value and not in_words else []) + (phrases_in(text) if in_words else [])

    if reading.boxed:
        text, all_boxes = reading.boxed[-1].text, "; ".join(box.text for box in reading.boxed)
        closed, _ = boxes(reading.final)
        if parts > 1 and len(forms.parts(text).parts) != parts == len(forms.parts(all_boxes).parts):
            text = all_boxes
        else:
            text = joined(reading.final, closed, verify.is_list(gold)) or text
        plain = tidy(text)
        prose = (
            not quantities.parse(plain) and not is_expression(plain) and not re.search(r"\b(?:n?or|not|maybe)\b", plain)
        )
        return Stated(text, "boxed", reading.boxed[-1].start), [text, *(versions(plain) if prose else [])]
    if reading.later:
        passages = [s for s in restate.sentences(reading.later) if not restate.supposes(s)][::-1]
        texts = next((texts for passage in passages if (texts := versions(passage))), None)
        if texts:
            return Stated(texts[0], "stated", 0), texts
    if parts > 1 and sum(len(forms.parts(s.text).parts) for s in reading.stated) == parts and len(reading.stated) > 1:
        return reading.stated[-1], ["; ".join(s.text for s in reading.stated)]
    for stated in sorted(reversed(reading.stated), key=lambda s: s.weak):
        texts = versions(stated.text)
        if texts:
            return Stated(texts[0], stated.how, stated.start), texts
    final = reading.final.strip()
    sentences = restate.sentences(final)
    passages = [final] if len(final) <= 200 else [sentences[-1], restate.restating(question, sentences)]
    if in_words and len(final) <= 200:
        passages = [*sentences[-1:], final]
    texts = [text for passage in passages if passage for text in versions(passage)]
    texts = texts if in_words else texts[:1]
    return (Stated(texts[0], "bare", 0), texts) if texts and (len(final) <= 200 or not in_words) else (None, [])
