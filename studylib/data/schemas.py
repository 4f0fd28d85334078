"""Rows of the published benchmarks and training sets, each in its own columns, to the one question schema."""

import ast
import json
import re
from collections.abc import Callable, Mapping
from functools import wraps
from itertools import count
from typing import Any, NamedTuple
from unicodedata import normalize

from studylib.data.raw import from_chat, mended, refuse_special_tokens, split_choices, split_thought
from studylib.errors import StudyError

Row = Mapping[str, Any]
VISION_ONLY = "Answer the question in the picture."  # MathVerse's Vision Only, and some of MathVision
_PICTURE, _PLACE = re.compile(r"<image ?(\d)>"), re.compile(r"<image \d+>\s?")
_BOX = re.compile(r"\\boxed\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}")
_TAG = re.compile(r"</?think>")
_LABEL = re.compile(r"\s*\(?([A-Z])\s*[.:)．：）、]\s*")
_OPTION_PICTURE = re.compile(r"\s*(?:[(\[]?[A-Z][)\].:]\s*)?<image ?\d*>\s*")
_INTEGER, _FLOAT = re.compile(r"[-+]?\d+"), re.compile(r"[-+]?\d*\.\d+")


class Schema(NamedTuple):
    """`columns` must be there; of `pictures` the first that is there is read."""

    columns: tuple[str, ...]
    pictures: tuple[str, ...]
    read: Callable[[Row], dict[str, Any]]


def letter(index: int) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index]


def with_options(stem: str, choices: list[str]) -> str:
    """The question with its choices as lines; choices that are bare letters stand in the picture already."""
    if [choice.strip() for choice in choices] == [letter(i) for i in range(len(choices))]:
        return stem
    return "\n".join([stem, *(f"({letter(i)}) {choice}".rstrip() for i, choice in enumerate(choices))])


def picture_names(text: str, pictures: int) -> str:
    """`<image 2>` as `[picture 2]`, since pictures are shown before the text. Where there is only one, a
    reference on a line of its own says nothing and goes. Raises StudyError for a picture that is not there."""
    if pictures <= 1:
        text = re.sub(r"^[ \t]*(?:<image ?\d>[ \t]*)+(?:\n|$)", "", text, flags=re.M)
        return _PICTURE.sub("[picture]", text).strip()
    missing = [number for number in _PICTURE.findall(text) if int(number) > pictures]
    if missing:
        raise StudyError(f"the text speaks of picture {missing[0]} and there are {pictures}")
    return _PICTURE.sub(r"[picture \1]", text).strip()


def picture_options(options: list[str]) -> list[str]:
    """Options that are pictures: their letters where all are, else each with a number."""
    if options and all(map(_OPTION_PICTURE.fullmatch, options)):
        return [letter(i) for i in range(len(options))]
    number = count(1)
    return [re.sub(r"<image ?\d*>", lambda _: f"[picture {next(number)}]", option) for option in options]


def free_form_answer(*forms: str) -> dict[str, Any]:
    """A free answer; where several forms are accepted `answers` holds them all."""
    kind = "integer" if _INTEGER.fullmatch(forms[0]) else "float" if _FLOAT.fullmatch(forms[0]) else "text"
    several = {"answers": list(forms)} if len(forms) > 1 else {}
    return {"answer": forms[0], "choices": [], "question_type": "free_form", "answer_type": kind, **several}


def answer_fields(text: str, options: list[str], answer: Any) -> dict[str, Any]:
    """A question with its options, or with those that its text holds if the answer is one of them, else without."""
    stem, choices = (text, options) if options else split_choices(text)
    if choices:
        try:
            return {"question": with_options(stem, choices), **choice_answer(answer, choices)}
        except StudyError:  # what looks like labels in a text may be something else
            if options:
                raise
    return {"question": text, **free_form_answer(single_answer(answer))}


def accepted_answers(answer: Any) -> list[str]:
    """The accepted forms of an answer: itself, or those that it lists. Raises StudyError where it has none."""
    if isinstance(answer, str) and answer.strip().startswith("["):
        try:
            forms = ast.literal_eval(answer.strip())
        except (SyntaxError, ValueError):
            forms = None  # such as the interval [0, 1)
        if isinstance(forms, list) and all(isinstance(form, str) for form in forms):
            answer = mended(forms)
    forms = list(dict.fromkeys(map(_plain, answer if isinstance(answer, list) else [answer])))
    if not forms or "" in forms:
        raise StudyError(f"it has no answer, but {answer!r}")
    return forms


def _plain(answer: Any) -> str:
    """An answer as text; "" where it is none, or no more than the word for it."""
    if isinstance(answer, dict | list) or answer != answer:
        return ""
    return "" if (text := str(answer).strip()) in ("None", "null", "nan", "NaN", "<NA>") else text


def single_answer(answer: Any) -> str:
    forms = accepted_answers(answer)
    if len(forms) > 1:
        raise StudyError(f"its answer is a list of {len(forms)}, and which of them is right is not known")
    return forms[0]


def choice_answer(answer: Any, choices: list[str], by_text: bool = False) -> dict[str, Any]:
    """A multiple-choice answer as its letter, or letters ("A, C"), whether the row gives the letter or the choice's
    text. Where choices are letters themselves the dataset decides: `by_text` says that its answers are texts."""
    texts = [choice.strip() for choice in choices]
    text = answer.strip() if isinstance(answer, str) else None
    if text not in texts:
        text = ", ".join(accepted_answers(answer))
    same = [letter(texts.index(text))] if text in texts else []
    letters = (by_text and same) or _letters(text, texts) or same or _several(text, texts)
    letters = letters or _letters(text.upper(), texts)
    alike = [i for i, each in enumerate(texts) if each.lower() == text.lower()]
    letters = letters or ([letter(alike[0])] if len(alike) == 1 else [])
    if not letters:
        raise StudyError(f"the answer {answer!r} is none of the choices {choices}")
    return {
        "answer": ", ".join(letters),
        "choices": choices,
        "question_type": "multi_choice",
        "answer_type": "letter",
    }


def _letters(text: str, texts: list[str]) -> list[str]:
    """The letter that an answer is, alone ("(C)", "C．") or before the choice's own text ("C. 150")."""
    text = normalize("NFKC", text)
    label = re.fullmatch(r"(?:[Oo]ption|[Cc]hoice)?\s*[(\[]?([A-Z])\s*([.:)\]、]*)\s*(.*)", text, re.S)
    if label is None or (texts and ord(label[1]) - 65 >= len(texts)):
        return []
    alone = not label[3] or (label[2] and texts and label[3] == normalize("NFKC", texts[ord(label[1]) - 65]))
    return [label[1]] if alone else []


def _several(text: str, texts: list[str]) -> list[str]:
    """The letters of a question with several right choices: "A\\nC", "A and C", "AC"."""
    if not re.fullmatch(r"\(?[A-Z]\)?(?:(?:\s*(?:[,;&/、，；]|and)?\s*)\(?[A-Z]\)?)+", text):
        return []
    letters = sorted(set(re.findall("[A-Z]", text)))
    return letters if ord(letters[-1]) - 65 < (len(texts) or 8) and len(letters) > 1 else []


def reader(read: Callable[[Row], dict[str, Any]]) -> Callable[[Row], dict[str, Any]]:
    """A reader of rows that gets chats as columns and mended texts. Raises StudyError for special tokens."""

    @wraps(read)
    def careful(row: Row) -> dict[str, Any]:
        row = {name: mended(value) for name, value in from_chat(row).items()}
        question = read({**row, "question": row["question"] or ""})
        if not question["question"].strip():
            raise StudyError("it has no question")
        for value in question.values():
            refuse_special_tokens(value)
        return question

    return careful


@reader
def mathvision(row: Row) -> dict[str, Any]:
    """Its pictures are one: what the text calls <image2> is a part of it."""
    text = picture_names(row["question"], 1) or VISION_ONLY
    fields = answer_fields(text, picture_options(option_list(row["options"])), row["answer"])
    return {"id": row["id"], "solution": row.get("solution") or "", **fields}


@reader
def mathverse(row: Row) -> dict[str, Any]:
    """Versions of one problem share `problem`; a Vision Only row has its choices in the picture alone."""
    multiple = _is_choice(row)
    stem, options = split_choices(row["question"] or "") if multiple else ((row["question"] or "").strip(), [])
    return {
        "id": row["sample_index"],
        "problem": _plain(row["problem_index"]),
        "version": row["problem_version"].lower().replace(" ", "-"),
        "question": with_options(stem, options) or VISION_ONLY,
        **(choice_answer(row["answer"], options) if multiple else free_form_answer(single_answer(row["answer"]))),
    }


@reader
def mathvista(row: Row) -> dict[str, Any]:
    """A choice is answered by its text upstream, by its letter here; the unit is asked for as upstream does."""
    options = option_list(row["choices"])
    multiple, unit = _is_choice(row), _plain(row["unit"]) or None
    stem = f"{row['question'].strip()} (Unit: {unit})" if unit else row["question"].strip()
    fields = (
        choice_answer(row["answer"], options, by_text=True)
        if multiple
        else free_form_answer(single_answer(row["answer"]))
    )
    if not multiple and row["answer_type"] in ("integer", "float"):
        fields["answer_type"] = row["answer_type"]
    return {
        "id": row["pid"],
        "question": with_options(stem, options),
        "unit": unit,
        "precision": float(row["precision"]) if _plain(row["precision"]) else None,
        **fields,
    }


@reader
def mmmu(row: Row) -> dict[str, Any]:
    """Options are a list written as text; an open answer may be such a list of accepted forms."""
    pictures = sum(row.get(f"image_{number}") is not None for number in range(1, 8))
    options = [picture_names(str(option), max(pictures, 2)) for option in option_list(row["options"])]
    stem = picture_names(row["question"], pictures)
    if _is_choice(row):
        return {"id": row["id"], "question": with_options(stem, options), **choice_answer(row["answer"], options)}
    forms = accepted_answers(row["answer"])
    fields = {"question": stem, **free_form_answer(*forms)} if len(forms) > 1 else answer_fields(stem, [], forms[0])
    return {"id": row["id"], **fields}


@reader
def mmstar(row: Row) -> dict[str, Any]:
    stem, options = split_choices(row["question"])
    fields = choice_answer(row["answer"], options)
    return {"id": row["index"], "question": with_options(picture_names(stem, 1), options), **fields}


@reader
def query(row: Row) -> dict[str, Any]:
    """A training query: an answer that is one of the choices is its letter, anything else is a free answer."""
    options = picture_options(option_list(row.get("options") or row.get("choices")))
    fields = answer_fields(without_places(row["question"]), options, _unwrapped(row["answer"]))
    return {"id": row.get("id"), **fields}


def _unwrapped(answer: Any) -> Any:
    """A gold answer without the tags, the marks or the box around it, and without the solution before these."""
    if not isinstance(answer, str):
        return answer
    if tagged := re.search(r"<answer>(.*?)</answer>", answer, re.S):
        answer = tagged[1]
    answer = answer.rpartition("####")[2]
    boxed = _BOX.findall(answer)
    return boxed[0] if len(boxed) == 1 else answer


def _is_choice(row: Row) -> bool:
    return "choice" in str(row["question_type"]).lower()


def without_places(text: str) -> str:
    """A query without its `<image>`: pictures come before the text, and one of several inside it is named."""
    number = count(1)
    text = re.sub("<image>", lambda _: f"<image {next(number)}>", text)
    text = re.sub(r"\A\s*(?:<image \d+>\s*)+|^\s*(?:<image \d+>\s*)+$", "", text, flags=re.M)
    return re.sub(r"<image (\d+)>", r"[picture \1]", text).strip() if next(number) > 2 else _PLACE.sub("", text).strip()


@reader
def s1k(row: Row) -> dict[str, Any]:
    """s1: Gemini's thinking and its attempt."""
    return trace_row(row, row["thinking_trajectories"], row["attempt"])


@reader
def s1k_r1(row: Row) -> dict[str, Any]:
    """s1.1: DeepSeek-R1's thinking and its attempt at the same questions."""
    return trace_row(row, row["deepseek_thinking_trajectory"], row["deepseek_attempt"])


def trace_row(row: Row, thinking: str | list[str], attempt: str) -> dict[str, Any]:
    """A question with its trace; the thinking is a text, or the only one of a list. Its gold answer is not used."""
    question, parts = (row["question"] or "").strip(), []
    for name, part in (("question", question), ("thinking", thinking), ("attempt", attempt)):
        part = part[0] if isinstance(part, list) and len(part) == 1 else part
        if not isinstance(part, str) or not _plain(part):
            raise StudyError(f"its {name} is no text, but {part!r:.60}")
        parts.append(part.strip())
    parts[1:] = (_TAG.sub("", part).strip() for part in (parts[1], split_thought(parts[2])[1]))
    solution = _plain(row["solution"])
    kind = {"choices": [], "question_type": "free_form", "answer_type": "text"}
    reasoned = f"<think> {parts[1]} </think> {parts[2]}"
    return {"id": None, "question": question, "telling": question, "trace": reasoned, "answer": solution, **kind}


def option_list(value: Any) -> list[str]:
    """Options as a list of texts, without labels of their own: from a list, from one that is written as text, or by
    letter; none where there are none."""
    if isinstance(value, str):
        value = _written(value.strip())
    if isinstance(value, Mapping):  # a table fills up with None
        value = [value[name] for name in sorted(value) if value[name] is not None]
    if value is None or value != value:
        return []
    if not isinstance(value, list | tuple):
        raise StudyError(f"its options are no list, but {value!r:.60}")
    texts = [mended("" if option is None else str(option)) for option in value]
    labels = list(map(_LABEL.match, texts))
    if len(texts) > 1 and all(label and label[1] == letter(i) for i, label in enumerate(labels)):
        texts = [text[label.end() :] for text, label in zip(texts, labels, strict=True)]
    return texts if any(map(str.strip, texts)) else [letter(i) for i in range(len(texts))]


def _written(text: str) -> Any:
    """A list that is written as Python or JSON."""
    for read in (ast.literal_eval, json.loads):
        try:
            return read(text) if text else None
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
    raise StudyError(f"{text!r:.60} is not a list")


BENCHMARKS = {
    "MathVision": Schema(("id", "question", "options", "answer"), ("decoded_image", "image"), mathvision),
    "MathVerse": Schema(
        ("sample_index", "problem_index", "problem_version", "question", "question_type", "answer"),
        ("image",),
        mathverse,
    ),
    "MathVista": Schema(
        ("pid", "question", "choices", "unit", "precision", "answer", "question_type", "answer_type"),
        ("decoded_image", "image"),
        mathvista,
    ),
    "MMMU": Schema(
        ("id", "question", "options", "answer", "question_type"),
        tuple(f"image_{number}" for number in range(1, 8)),
        mmmu,
    ),
    "MMStar": Schema(("index", "question", "answer"), ("image",), mmstar),
}
QUERIES = Schema(("question", "answer"), ("images", "image", "image_urls"), query)
TRACES = {
    "rambling": Schema(("question", "solution", "thinking_trajectories", "attempt"), (), s1k),
    "careful": Schema(("question", "solution", "deepseek_thinking_trajectory", "deepseek_attempt"), (), s1k_r1),
}
