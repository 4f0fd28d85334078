"""Texts of published rows before a schema reads them: chat turns as columns, LaTeX whose backslashes were eaten
(`\\frac` as a form feed and `rac`), choices that stand in the question, special tokens."""

import json
import re
from collections.abc import Mapping
from typing import Any
from unicodedata import normalize

from studylib.errors import StudyError

CHATS = ("messages", "conversations", "conversation", "message")
_ROLES = dict.fromkeys(("user", "human"), "user") | dict.fromkeys(("assistant", "gpt", "model", "bot"), "assistant")
_THOUGHT = re.compile(r"\s*(?:<think>)?(.*?)</think>(.*)", re.S)
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPECIAL = re.compile(r"<\|\w+\|>")

# A form feed, backspace, bell or vertical tab before a letter is never text.
_NEVER_TEXT = re.compile("([\a\b\f\v])(?=[A-Za-z])")
# Tabs and line ends are: what follows must be the rest of a command and no word, inside $...$ a short one too.
_CLEAR = re.compile(
    "(?:(\t)(?=(?:imes|heta|au|herefore|frac|ilde|riangle(?:q|left|right)?)(?![A-Za-z])"
    "|(?:ext(?:bf|it|rm)?|binom)\\s*\\{|an(?=\\s*[\\d\\\\^({]))"
    "|(\r)(?=(?:ho|ight(?:arrow)?|m|angle|floor|ceil|brace|vert)(?![A-Za-z]))"
    "|(\n)(?=(?:abla|otin)(?![A-Za-z])|eq(?=\\s*[-\\d\\\\a-z])))"
)
_SHORT = re.compile("(?:(\t)(?=(?:anh?|op?)(?![A-Za-z]))|(\n)(?=(?:u|eq?|eg|mid|ot|leq|geq|parallel)(?![A-Za-z])))")
_INLINE = re.compile(r"(?<!\\)\$\$?[^$]+\$\$?|\\\(.+?\\\)|\\\[.+?\\\]", re.S)
_LETTER = dict(zip("\a\b\f\v\t\r\n", "abfvtrn", strict=True))

_HEADER = re.compile(r"(?:^|\s)(?i:choices|options|选项)\s*[:：]")
_LABEL = r"([(（\[]?)([A-JＡ-Ｊ])[ \t]?([.:)\]．：）、])[ \t]*"
_ON_LINES = re.compile(r"^[ \t]*(?:[-*•][ \t]+)?" + _LABEL, re.M)
_IN_LINE = re.compile(r"(?:(?<![^\s,;:?)_，；：。？）])|(?<![A-Za-z])(?=[(（\[]?[A-JＡ-Ｊ][．：）、]))" + _LABEL)


def from_chat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A chat-shaped row with its turns as columns that it lacks: the user's `question` and `images`, the assistant's
    thinking and attempt as a trace's, and its answer. Other rows as they are.

    Raises StudyError unless it is one question with at most one answer.
    """
    key = next((name for name in CHATS if row.get(name)), None)
    if key is None:
        return dict(row)
    try:
        turns = json.loads(row[key], strict=False) if isinstance(row[key], str) else row[key]
        by_role: dict[str | None, list] = {}
        for turn in turns:
            role = str(turn.get("role") or turn.get("from")).lower()
            content = turn["content"] if turn.get("content") is not None else turn.get("value")
            by_role.setdefault(_ROLES.get(role), []).append(_content(content))
    except (ValueError, TypeError, AttributeError) as error:
        raise StudyError(f"its {key} are no list of turns ({error})") from None
    questions, answered = by_role.get("user", []), by_role.get("assistant", [])
    if len(questions) != 1 or len(answered) > 1:
        raise StudyError(f"its {key} are {len(questions)} questions and {len(answered)} answers, and not one of each")
    (question, pictures), columns = questions[0], {}
    if answered:
        thinking, attempt = split_thought(answered[0][0])
        columns = dict.fromkeys(("thinking_trajectories", "deepseek_thinking_trajectory"), thinking)
        columns |= dict.fromkeys(("attempt", "deepseek_attempt", "answer", "solution"), attempt)
    columns |= {"question": question, **({"images": pictures} if pictures else {})}
    return {**columns, **{name: value for name, value in row.items() if name != key and value is not None}}


def split_thought(text: str) -> tuple[str, str]:
    """The thinking before `</think>` ("" without one), and what comes after it."""
    thought = _THOUGHT.match(text)
    return thought.groups() if thought else ("", text)


def _content(content: Any) -> tuple[str, list]:
    """Text and pictures of a turn, whose content is a text or a list of parts."""
    if not isinstance(content, list):
        return content or "", []
    texts, pictures = [], []
    for part in content:
        picture = part.get("image") or part.get("image_url")
        if picture:
            pictures.append(picture.get("url", picture) if isinstance(picture, dict) else picture)
        elif part.get("text"):
            texts.append(part["text"])
    return "\n".join(texts), pictures


def mended(value: Any) -> Any:
    """A text, or the texts of a list, with the backslashes that unescaping has eaten, where that is clear."""
    if isinstance(value, list):
        return [mended(each) for each in value]
    if not isinstance(value, str):
        return value
    if _SURROGATE.search(value):  # halves of a character, which no file can hold
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    value = _CLEAR.sub(_backslash, _NEVER_TEXT.sub(_backslash, value))
    return _INLINE.sub(_mended_math, value)


def _mended_math(math: re.Match) -> str:
    """Display math has line ends of its own."""
    displayed = math[0].startswith(("$$", "\\["))
    return _SHORT.sub(lambda m: m[0] if displayed and m[0] == "\n" else _backslash(m), math[0])


def _backslash(control: re.Match) -> str:
    return "\\" + _LETTER[control[0]]


def refuse_special_tokens(value: Any) -> None:
    """Raises StudyError for a text with a token such as <|image_pad|>, which the tokenizer would take for its own."""
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and (token := _SPECIAL.search(text)):
            raise StudyError(f"its text holds the special token {token[0]}")


def split_choices(text: str) -> tuple[str, list[str]]:
    """The question and the choices that are written in it; no choices where their labels are not clear.

    Reads "Options: A: red, B: blue", "Choices:\\n(A) red\\n(B) blue", lines "A. red" and "A．red B．blue" on one line.
    Choices without any text are those of the picture and named by their letters.
    """
    headers = list(_HEADER.finditer(text))
    start = headers[-1].end() if headers else 0
    lines, inline = (_chain(pattern.finditer(text, start)) for pattern in (_ON_LINES, _IN_LINE))
    labels = lines if len(lines) >= len(inline) else inline
    if len(labels) < 2:
        return text.strip(), []
    stem = text[: headers[-1].start() if headers else labels[0].start()].strip()
    ends = [label.start() for label in labels[1:]] + [len(text)]
    spans = zip(labels, ends, strict=True)
    choices = [text[label.end() : end].strip().rstrip(",;，；").strip() for label, end in spans]
    if not headers and labels is inline:  # no header and no lines: points or people may be named so
        if "?" in choices[-1] or (len(labels) == 2 and not re.search(r"[?？:：.。)）_]$", stem)):
            return text.strip(), []
    return stem, choices if any(choices) else [normalize("NFKC", label[2]) for label in labels]


def _chain(labels) -> list[re.Match]:
    """The longest run of labels A, B, C ... in one style; of equally long ones the last."""
    labels, longest = list(labels), []
    for place, first in enumerate(labels):
        if normalize("NFKC", first[2]) == "A":
            chain = [first]
            for label in labels[place + 1 :]:
                if label[2] == chr(ord(chain[-1][2]) + 1) and (label[1], label[3]) == (first[1], first[3]):
                    chain.append(label)
            longest = chain if len(chain) >= len(longest) else longest
    return longest
