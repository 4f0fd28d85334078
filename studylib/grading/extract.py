"""Where a response states its answer: in a box, in a tag, in a sentence that says so, or bare."""

import re
from dataclasses import dataclass

from studylib.grading.clean import clean

_THINK = re.compile(r"<(/?)(?:think|thinking|thought)>", re.I)
_BOX_TOKENS = re.compile(r"(\\(?:boxed|fbox)\s*\{)|\\.|([{}])", re.S)
_BARE_BOX = re.compile(r"\\boxed\s+(-?[\w.]+)")
_TAG = re.compile(r"<(answer|final_answer|ans)>(.*?)</\1>", re.I | re.S)
_STATED = re.compile(
    r"(?:\b(?<!other )(?:answers?|option|choice|solution|result|value)\b"
    r"(?:[ \t]+(?:letter|choice|option|number))?"
    r"(?:[ \t]+(?:to|for|of|from|that|in|among|would)\b[^.\n:]{0,80}?)?"
    r"\**\s*(?:\bis(?: therefore| thus| then)?\b|\bare\b|\bwas\b|\b(?:would|should|must|will) be\b|[\"']?\s*[=:]|\s-\s)"
    r"|(?:答案|选项)\s*(?:应?[是为]|:)?|选(?:择)?\s*:?"
    r"|^[ \t]*(?:A|Ans)[ \t]*:|####|\b(?:choose|select|pick)\b(?: option| choice| answer)?)"
    r"[\s:*]*(?:(?:option|choice|answer|letter)\s)?",
    re.I | re.M,
)
_LABEL = re.compile(r"\([A-Z]\)")
_SENTENCE_END = re.compile(r"(?<![A-Z\d])\.(?=\s|$|</s>)|(?<=[A-Z\d])\.(?=\s+[A-Z]|\s*$|</s>)|\n|</s>|<\|")
_BETWEEN_BOXES = re.compile(r"^(?:[\s$,;&.}]|\\[,;!()\[\]]|\\q?quad|\\text\s*\{|and|or)*$")
_NEXT_QUESTION = re.compile(r"\n[ \t]*(?:Question|Q|Hint)[ \t]*:\s")
_CLOSING = re.compile(
    r"<\|\w+\|>(?:user|assistant)?|</s>"
    r"|\b(?:I hope (?:it|this|that)|(?:Please )?let me know|feel free to)\b[^.!?\n]*[.!?]?"
    r"|\bdo you have (?:any )?(?:other|more|further)\b[^.!?\n]*[.!?]?",
    re.I,
)


MAX_STATED = 40


@dataclass(frozen=True)
class Stated:
    """One place where the response says its answer: the text, how it was said, where it starts."""

    text: str
    how: str
    start: int


@dataclass(frozen=True)
class Response:
    """What may be graded: `final` is the text after the thinking, `inside` the thinking itself (if it was
    finished), `cut` says that the thinking or the last box was never closed."""

    final: str
    inside: str
    cut: bool
    stated: tuple[Stated, ...]


def boxes(text: str) -> tuple[list[tuple[int, int, str]], int | None]:
    """Outermost `\\boxed{...}` of `text` as (start, end, content) in order, and where one begins that is
    never closed. One pass, linear in the length whatever the nesting."""
    first = min((p for p in (text.find("\\boxed"), text.find("\\fbox")) if p >= 0), default=-1)
    if first < 0:
        return [], None
    found: list[tuple[int, int, str]] = []
    stack: list[int] = []
    openers: dict[int, int] = {}
    for token in _BOX_TOKENS.finditer(text, first):
        if token[1]:
            stack.append(token.start())
            openers[token.start()] = token.end()
        elif token[2] == "{":
            stack.append(-1)
        elif token[2] == "}" and stack:
            start = stack.pop()
            if start >= 0:
                while found and found[-1][0] > start:
                    found.pop()
                found.append((start, token.end(), text[openers.pop(start) : token.end() - 1]))
    for bare in _BARE_BOX.finditer(text, first):
        found.append((bare.start(), bare.end(), bare[1]))
    found.sort()
    return found, max(openers, default=None)


def _sentence(text: str, start: int) -> str:
    """What follows `start`, to the end of its sentence or line, or the next line that says anything."""
    rest = text[start : start + 1000]
    rest = rest.lstrip(" \t*:")
    if rest.startswith("\n"):
        rest = rest.lstrip()
        if rest.startswith(("\\[", "$$")):
            return rest[: max(rest.find("\\]"), rest.find("$$", 2), 0) + 2]
    end = _SENTENCE_END.search(rest)
    said = (rest[: end.start()] if end else rest).strip().rstrip('!"')
    return said.rstrip('}"') if said.count("}") > said.count("{") else said


def joined(text: str, found: list[tuple[int, int, str]], words: bool) -> str | None:
    """The last run of boxes as one list. Boxes stand in one run where only separators lie between them, or,
    with `words`, up to twenty characters with an "and" or a comma among them."""
    run = found[-1:]
    for box in reversed(found[:-1]):
        gap = text[box[1] : run[0][0]]
        near = words and len(gap) <= 24 and re.search(r"\band\b|,", gap)
        if not (len(gap) <= 60 and _BETWEEN_BOXES.match(gap)) and not near:
            break
        run.insert(0, box)
        if len(run) > 100:
            break
    contents = list(dict.fromkeys(content for _, _, content in run))
    return ", ".join(contents) if len(contents) > 1 else None


def statements(text: str) -> list[Stated]:
    """Every explicit statement of an answer in `text` (box, tag, sentence), in the order of the text."""
    found, _ = boxes(text)
    stated = [Stated(content, "boxed", start) for start, _, content in found[-MAX_STATED:]]
    stated += [Stated(m[2].strip(), "tagged", m.start()) for m in _TAG.finditer(text)]
    tail = max(0, len(text) - 20_000)
    for match in list(_STATED.finditer(text, tail))[-MAX_STATED:]:
        sentence = _sentence(text, match.end())
        if sentence and "\\boxed" not in sentence and not _LABEL.search(match[0]):
            stated.append(Stated(sentence, "stated", match.start()))
    return sorted(stated, key=lambda s: s.start)


def read(response: str) -> Response:
    """Split a raw response into thinking and final text and list the explicit statements of the final text.
    Text inside a thinking tag that was never closed is not part of either."""
    text = clean(response)
    last_close, open_since = -1, -1
    for tag in _THINK.finditer(text):
        if tag[1]:
            last_close, open_since = tag.end(), -1
        elif open_since < 0:
            open_since = tag.start()
    if open_since >= 0:
        return Response("", "", True, ())
    final, inside = (text[last_close:], text[:last_close]) if last_close >= 0 else (text, "")
    final = _CLOSING.sub(" ", _NEXT_QUESTION.split(final.lstrip(), maxsplit=1)[0])
    found, unclosed = boxes(final)
    stated = statements(final)
    cut = unclosed is not None and all(s.start < unclosed for s in stated)
    return Response(final, inside, cut, tuple(stated))
