"""Where a response states its answer: in a box, in a tag, in a sentence that says so, or bare."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from studylib.grading.clean import clean, tidy

_THINK = re.compile(r"<(/?)(?:think|thinking|thought)>", re.I)
_BOX_TOKENS = re.compile(r"(\\(?:boxed|fbox|framebox)\s*(?:\[[^\]\n]{0,20}\]\s*)*\{)|\\.|([{}])", re.S)
_BARE_BOX = re.compile(r"\\boxed(?:\s+(-?[\w.]+)|(-?\d))")
_TAG = re.compile(r"<(answer|final_answer|ans)>(.*?)</\1>", re.I | re.S)
_STATED = re.compile(
    r"(?:(?<![a-zA-Z])(?<!other )(?P<word>answers?|option|choice|solution|result|value)\b"
    r"(?:[ \t]+(?:letter|choice|option|number))?"
    r"(?:[ \t]+(?:to|for|of|from|that|in|among|would)\b[^.\n:]{0,80}?)?"
    r"\**\s*(?:\bis(?: therefore| thus| then)?\b|\bare\b|\bwas\b|\b(?:would|should|must|will) be\b|[\"']?\s*[=:]|\s-\s)"
    r"|【?(?:正确|参考|最终)?(?:答案|选项)】?\s*(?:应?该?[是为选]|:)?|正确的?是|[应故]?选(?:择)?\s*:?"
    r"|^[ \t]*(?:A|Ans)[ \t]*:|####|\b(?:choose|select|pick|go with|closest to(?= (?:option|choice|answer|[A-Z]\b)))\b"
    r"(?: option| choice| answer)?)"
    r"[\s:*]*(?:(?:option|choice|answer|letter)\s)?",
    re.I | re.M,
)
_WEAK = frozenset(("solution", "result", "value"))
_SUPPOSED = re.compile(
    r"(?:\b(?:if|suppose|supposing|assuming|assume|unless|whether|were)\b(?: that)?|如果|若|假设)"
    r"\s*(?:\b(?:the|your|my|this)\b)?\s*(?:(?:correct|right|final)\s+)?$",
    re.I,
)
_DENIED = re.compile(r"\(?[A-Z]\)?\s*(?:是|is|was)?\s*(?:错|不对|不正确|incorrect|wrong|not (?:correct|right))")
_RETRACTED = re.compile(
    r"\b(?:wait|hold on|oops|scratch that|correction|let me (?:re-?\w+|correct)|on second thought"
    r"|(?:that|this|it)(?:'s| is| was) (?:wrong|incorrect|not right|a mistake|not correct))\b[^.!?\n]{0,60}?[,.!:?\n]"
    r"|[?][\s\"]*(?:no|actually)\b[^.!?\n]{0,20}[,.!]|不对|等等",
    re.I,
)
_CONFIRMED = re.compile(r"(?<!not )(?<!in)\b(?:correct|right|confirm\w*|checks? out|indeed|yes|consistent)\b", re.I)
_CONCLUDED = re.compile(
    r"(?:^|[.!?\n]\s*)(?:Therefore|Thus|Hence|So|Consequently|Altogether|In total)\b"
    r"|\b(?:therefore|thus|hence)\b|所以|因此|故",
    re.M,
)
_ESCAPE = re.compile(r"\\([\\\"/bfnrt]|u[0-9a-fA-F]{4})?")
_LABEL = re.compile(r"\([A-Z]\)")
_SENTENCE_END = re.compile(r"(?<![A-Z\d])\.(?=\s|$|</s>)|(?<=[A-Z\d])\.(?=\s+[A-Z]|\s*$|</s>)|\n|</s>|<\|")
_BETWEEN_BOXES = re.compile(r"^(?:[\s$,;&.}]|\\[,;!()\[\]]|\\q?quad|\\text\s*\{|and|or)*$")
_NEXT_QUESTION = re.compile(r"\n[ \t]*(?:Question|Q|Hint)[ \t]*:\s")
_NEXT_TURN = re.compile(
    r"(?<=[\n.!?}])[ \t#*]*(?:Human|User|Instruction|用户|问题?|题目)[ \t]*\**:"
    r"|\n[ \t#]*(?:user|human|Instruction)[ \t]*(?:\n|$)"
    r"|<\|im_start\|>\s*(?:user|human)|<\|(?:user|start_header_id)\|>|\[INST\]",
)
_TURN_WORDS = ("Human", "human", "User", "user", "Instruction", "<|", "[INST]", "用户", "问", "题目")
_CLOSING = re.compile(
    r"<\|\w+\|>(?:user|assistant)?|</s>"
    r"|\b(?:I hope (?:it|this|that)|(?:Please )?let me know|feel free to)\b[^.!?\n]*[.!?]?"
    r"|\bdo you have (?:any )?(?:other|more|further)\b[^.!?\n]*[.!?]?",
    re.I,
)


MAX_STATED = 40


@dataclass(frozen=True)
class Stated:
    """One place where the response says its answer: the text, how it was said, where it starts; `weak` where
    it names a value or result, which need not be the answer."""

    text: str
    how: str
    start: int
    weak: bool = False


@dataclass(frozen=True)
class Response:
    """What may be graded: `final` is the text after the thinking, `inside` the thinking itself (if it was
    finished), `cut` says that the thinking or the last box was never closed. `boxed` are the boxes with anything
    in them; `stated` the other statements, which are looked for only where somebody asks; `later` is what takes the
    last of these back, or concludes from it."""

    final: str
    inside: str
    cut: bool
    boxed: tuple[Stated, ...] = ()

    @cached_property
    def stated(self) -> list[Stated]:
        return statements(self.final)

    @cached_property
    def later(self) -> str:
        return "" if self.boxed else _later(self.final, self.stated)


def boxes(text: str) -> tuple[list[tuple[int, int, str]], int | None]:
    """Outermost `\\boxed{...}` of `text` as (start, end, content) in order, and where one begins that is
    never closed. One pass, linear in the length whatever the nesting."""
    first = min((p for p in map(text.find, ("\\boxed", "\\fbox", "\\framebox")) if p >= 0), default=-1)
    if first < 0:
        return [], None
    closed: list[tuple[int, int, str]] = []
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
                while closed and closed[-1][0] > start:
                    closed.pop()
                closed.append((start, token.end(), text[openers.pop(start) : token.end() - 1]))
    for bare in _BARE_BOX.finditer(text, first):
        closed.append((bare.start(), bare.end(), bare[1] or bare[2]))
    closed.sort()
    return closed, max(openers, default=None)


def _sentence(text: str, start: int) -> str:
    """What follows `start`, to the end of its sentence or line, or the next line that says anything."""
    rest = text[start : start + 1000]
    rest = rest.lstrip(" \t*:")
    if rest.startswith("\n"):
        rest = rest.lstrip()
        if rest.startswith(("\\[", "$$")):
            return rest[: max(rest.find("\\]"), rest.find("$$", 2), 0) + 2]
    end = _SENTENCE_END.search(rest)
    sentence = (rest[: end.start()] if end else rest).strip().rstrip('!"')
    return sentence.rstrip('}"') if sentence.count("}") > sentence.count("{") else sentence


def joined(text: str, closed: list[tuple[int, int, str]], words: bool) -> str | None:
    """The last run of boxes as one list. Boxes stand in one run where only separators lie between them, or,
    with `words`, up to twenty characters with an "and" or a comma among them."""
    run = closed[-1:]
    for box in reversed(closed[:-1]):
        gap = text[box[1] : run[0][0]]
        near = words and len(gap) <= 24 and re.search(r"\band\b|,", gap)
        if not (len(gap) <= 60 and _BETWEEN_BOXES.match(gap)) and not near:
            break
        run.insert(0, box)
        if len(run) > 100:
            break
    contents = list(dict.fromkeys(content for _, _, content in run))
    return ", ".join(contents) if len(contents) > 1 else None


def objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects that stand in `text`, one within another left out, in order; of the last few braces. A
    single backslash that escapes nothing ("\\pi") stands for itself, as models write it."""
    text = _ESCAPE.sub(lambda m: m[0] if m[1] else "\\\\", text)
    values: list[dict[str, Any]] = []
    end = 0
    for brace in list(re.finditer(r"\{\s*\"", text))[-MAX_STATED:]:
        if brace.start() >= end:
            try:
                value, end = json.JSONDecoder(strict=False).raw_decode(text, brace.start())
            except (ValueError, RecursionError):
                continue
            values.append(value)
    return values


def statements(text: str) -> list[Stated]:
    """Every explicit statement of an answer in `text` (tag, JSON, sentence) but boxes, in the order of the text.
    A question ("is the answer 4?") and a supposition ("if the answer is A") state nothing."""
    stated = [Stated(m[2].strip(), "tagged", m.start()) for m in _TAG.finditer(text)]
    tail = max(0, len(text) - 20_000)
    for match in list(_STATED.finditer(text, tail))[-MAX_STATED:]:
        sentence = _sentence(text, match.end())
        if not sentence or "\\boxed" in sentence or "\\framebox" in sentence or _LABEL.search(match[0]):
            continue
        if (
            _DENIED.match(sentence)
            or _SUPPOSED.search(text[max(0, match.start() - 40) : match.start()])
            or re.search(r"\w\W{0,3}\?", sentence)
        ):
            continue
        stated.append(Stated(sentence, "stated", match.start(), (match["word"] or "").lower() in _WEAK))
    if '"' in text and "{" in text:
        for fields in objects(text[tail:]):
            key = next((k for k in fields if re.search(r"answer|choice|option|result", k, re.I)), None)
            if key and isinstance(fields[key], str | int | float):
                stated.append(Stated(str(fields[key]), "stated", len(text)))
    return sorted(stated, key=lambda s: s.start)


def _later(text: str, stated: list[Stated]) -> str:
    """What follows the last statement and takes it back ("Wait, that is wrong."), or concludes from one that only
    names a value ("The value of a is 4. Therefore ..."); empty where nothing does."""
    last = stated[-1].start if stated else max(0, len(text) - 2000)
    taken_back = list(_RETRACTED.finditer(text, last))
    if taken_back and not _CONFIRMED.search(text, taken_back[-1].end()):
        return text[taken_back[-1].end() :]
    concluded = list(_CONCLUDED.finditer(text, last)) if stated and stated[-1].weak else []
    return text[concluded[-1].start() :].lstrip(".!? \n") if concluded and all(s.weak for s in stated) else ""


def read(response: str) -> Response:
    """Split a raw response into thinking and final text and list the explicit statements of the final text.
    Text inside a thinking tag that was never closed is not part of either, nor is what follows in a next turn."""
    text = clean(response)
    thought = text.find("</think")
    turn = None
    if (thought >= 0 or "<think" not in text) and any(word in text for word in _TURN_WORDS):
        turn = _NEXT_TURN.search(text, max(0, thought))
    if turn and text[: turn.start()].strip():
        text = text[: turn.start()]
    last_close, open_since = -1, -1
    for tag in _THINK.finditer(text):
        if tag[1]:
            last_close, open_since = tag.end(), -1
        elif open_since < 0:
            open_since = tag.start()
    if open_since >= 0:
        return Response("", "", True)
    final, inside = (text[last_close:], text[:last_close]) if last_close >= 0 else (text, "")
    final = _CLOSING.sub(" ", _NEXT_QUESTION.split(final.lstrip(), maxsplit=1)[0])
    closed, unclosed = boxes(final)
    boxed = [Stated(content, "boxed", start) for start, _, content in closed[-MAX_STATED:] if tidy(content)]
    reading = Response(final, inside, False, tuple(boxed))
    cut = unclosed is not None and all(s.start < unclosed for s in (*boxed, *reading.stated))
    return Response(final, inside, True) if cut else reading
