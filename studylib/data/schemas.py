"""Rows of the published benchmarks and training sets, each in its own columns, to the one question schema."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from studylib.errors import StudyError

Row = Mapping[str, Any]
VISION_ONLY = "Answer the question in the picture."  # MathVerse's Vision Only has no words of its own
_PICTURE = re.compile(r"<image ?(\d)>")
_INTEGER, _FLOAT = re.compile(r"[-+]?\d+"), re.compile(r"[-+]?\d*\.\d+")


class Schema(NamedTuple):
    """`columns` must be there; of `pictures` the first that is there is read; `beside` are
    other columns of the original benchmark, none of them the level that the paper's authors added."""

    columns: tuple[str, ...]
    pictures: tuple[str, ...]
    read: Callable[[Row], dict[str, Any]]
    beside: tuple[str, ...] = ()


def letter(index: int) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index]


def written(stem: str, choices: list[str]) -> str:
    """The question with its choices as lines; choices that are bare letters stand in the picture already."""
    if [choice.strip() for choice in choices] == [letter(i) for i in range(len(choices))]:
        return stem
    return "\n".join([stem, *(f"({letter(i)}) {choice}" for i, choice in enumerate(choices))])


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


def split_choices(text: str) -> tuple[str, list[str]]:
    """The question and the choices that are written in it; no choices where their labels cannot be told.

    Reads "Options: A: red, B: blue", "Choices:\\n(A) red\\n(B) blue" and lines "A. red".
    """
    headers = list(re.finditer(r"(?:^|\s)(?:Choices|Options)\s*:", text))
    start = headers[-1].end() if headers else 0
    first = re.compile(r"(?:^|\s)" if headers else r"\n").pattern + r"(\(?)A\s*([:.)])\s*"
    label = re.search(first, text[start:])
    if label is None:
        return text.strip(), []
    begin, choices = start + label.start(), []
    stem = text[: headers[-1].start() if headers else begin].strip()
    rest = text[start + label.end() :]
    for following in "BCDEFGHIJ":
        mark = re.search(rf"[\s,;]{re.escape(label[1])}{following}\s*{re.escape(label[2])}\s*", rest)
        if mark is None:
            break
        choices.append(rest[: mark.start()])
        rest = rest[mark.end() :]
    choices = [choice.strip().rstrip(",;").strip() for choice in [*choices, rest]]
    return (stem, choices) if len(choices) > 1 else (text.strip(), [])


def free(answer: Any) -> dict[str, Any]:
    said = str(answer).strip()
    kind = "integer" if _INTEGER.fullmatch(said) else "float" if _FLOAT.fullmatch(said) else "text"
    return {"answer": said, "choices": [], "question_type": "free_form", "answer_type": kind}


def chosen(answer: Any, choices: list[str]) -> dict[str, Any]:
    """A multiple-choice answer as its letter, whether the row gives the letter or the choice's text."""
    said, texts = str(answer).strip(), [choice.strip() for choice in choices]
    if said in texts:
        said = letter(texts.index(said))
    said = said.strip("().")
    if not re.fullmatch("[A-Z]", said) or (choices and ord(said) - 65 >= len(choices)):
        raise StudyError(f"the answer {answer!r} is none of the choices {choices}")
    return {"answer": said, "choices": choices, "question_type": "multi_choice", "answer_type": "text"}


def mathvision(row: Row) -> dict[str, Any]:
    """Its pictures are one: what the text calls <image2> is a part of it."""
    stem, options = picture_names(row["question"], 1), [str(option) for option in row["options"] or []]
    found = chosen(row["answer"], options) if options else free(row["answer"])
    return {"id": row["id"], "question": written(stem, options), "solution": row.get("solution") or "", **found}


def mathverse(row: Row) -> dict[str, Any]:
    """Versions of one problem share `problem`; a Vision Only row has its choices in the picture alone."""
    stem, options = split_choices(row["question"] or "")
    multiple = "choice" in row["question_type"]
    return {
        "id": row["sample_index"],
        "problem": str(row["problem_index"]),
        "version": row["problem_version"].lower().replace(" ", "-"),
        "question": written(stem, options) or VISION_ONLY,
        **(chosen(row["answer"], options) if multiple else free(row["answer"])),
    }


def mathvista(row: Row) -> dict[str, Any]:
    """A choice is answered by its text upstream, by its letter here; the unit is asked for as upstream does."""
    options = [str(choice) for choice in row["choices"] or []]
    multiple = row["question_type"] == "multi_choice"
    unit = row["unit"] or None
    stem = f"{row['question'].strip()} (Unit: {unit})" if unit else row["question"].strip()
    found = chosen(row["answer"], options) if multiple else free(row["answer"])
    if not multiple and row["answer_type"] in ("integer", "float"):
        found["answer_type"] = row["answer_type"]
    return {
        "id": row["pid"],
        "question": written(stem, options),
        "unit": unit,
        "precision": row["precision"],
        **found,
    }


def mmmu(row: Row) -> dict[str, Any]:
    """Options are a list written as text; an open answer may be such a list of accepted forms: the first is kept."""
    pictures = sum(row.get(f"image_{number}") is not None for number in range(1, 8))
    options = [picture_names(str(option), max(pictures, 2)) for option in _literal(row["options"])]
    stem = picture_names(row["question"], pictures)
    if row["question_type"] == "multiple-choice":
        found = chosen(row["answer"], options)
    else:
        accepted = row["answer"].strip()
        found = free(_literal(accepted)[0] if accepted.startswith("[") else accepted)
    return {"id": row["id"], "question": written(stem, found["choices"]), **found}


def mmstar(row: Row) -> dict[str, Any]:
    stem, options = split_choices(row["question"])
    found = chosen(row["answer"], options)
    return {"id": row["index"], "question": written(picture_names(stem, 1), options), **found}


def query(row: Row) -> dict[str, Any]:
    """A training query: a letter is the answer to choices that the text holds, anything else is a free answer."""
    stem, options = split_choices(re.sub(r"<image>\s*", "", row["question"]))
    if options and re.fullmatch(r"\(?[A-Z]\)?\.?", str(row["answer"]).strip()):
        return {"id": row.get("id"), "question": written(stem, options), **chosen(row["answer"], options)}
    return {"id": row.get("id"), "question": re.sub(r"<image>\s*", "", row["question"]).strip(), **free(row["answer"])}


def s1k(row: Row) -> dict[str, Any]:
    """s1: Gemini's thinking and its attempt."""
    return _told(row, row["thinking_trajectories"][0], row["attempt"])


def s1k_r1(row: Row) -> dict[str, Any]:
    """s1.1: DeepSeek-R1's thinking and its attempt at the same questions."""
    return _told(row, row["deepseek_thinking_trajectory"], row["deepseek_attempt"])


def _told(row: Row, thinking: str, attempt: str) -> dict[str, Any]:
    question = row["question"].strip()
    trace = f"<think> {thinking.strip()} </think> {attempt.strip()}"
    return {"id": None, "question": question, "telling": question, "trace": trace, **free(row["solution"])}


def _literal(text: str) -> list:
    try:
        return list(ast.literal_eval(text))
    except (SyntaxError, ValueError, TypeError):
        raise StudyError(f"{text!r} is not a list") from None


BENCHMARKS = {
    "MathVision": Schema(
        ("id", "question", "options", "answer"),
        ("decoded_image", "image"),
        mathvision,
        ("level", "subject", "solution"),
    ),
    "MathVerse": Schema(
        ("sample_index", "problem_index", "problem_version", "question", "question_type", "answer"),
        ("image",),
        mathverse,
        ("metadata", "query_wo", "query_cot"),
    ),
    "MathVista": Schema(
        ("pid", "question", "choices", "unit", "precision", "answer", "question_type", "answer_type"),
        ("decoded_image", "image"),
        mathvista,
        ("metadata", "query"),
    ),
    "MMMU": Schema(
        ("id", "question", "options", "answer", "question_type"),
        tuple(f"image_{number}" for number in range(1, 8)),
        mmmu,
        ("topic_difficulty", "subfield"),
    ),
    "MMStar": Schema(("index", "question", "answer"), ("image",), mmstar, ("category", "l2_category")),
}
QUERIES = Schema(("question", "answer"), ("images", "image"), query)
TRACES = {
    "rambling": Schema(("question", "solution", "thinking_trajectories", "attempt"), (), s1k),
    "careful": Schema(("question", "solution", "deepseek_thinking_trajectory", "deepseek_attempt"), (), s1k_r1),
}
