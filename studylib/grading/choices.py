"""From what a response states to one of the options: by letter, by the option's text, by its value."""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property

from studylib.grading import quantities
from studylib.grading.clean import clean, tidy

_LONE = re.compile(r"^[\s\"'(\[{]*([A-Za-z])[\s\"')\]}.:]*$")
_LABEL = re.compile(
    r"^(?:(?:option|choice|answer|letter)\s+)?(?:\(\s*([A-Z])\s*\)|\[([A-Z])\]|([A-Z])\s*[).:,](?!\w)|([A-Z])\s*\("
    r"|([A-Z])\s?(?=[^\x00-\x7f])|([B-HJ-Z])\s+(?:because|since|as|which|with|for)\b)",
    re.I,
)
_ANY_LABEL = re.compile(r"\(\s*(?:[Oo]ption\s+)?([A-Z])\s*\)|\b(?:[Oo]ption|[Cc]hoice)\s+\(?([A-Z])\b")
_CLOSING = re.compile(
    r"(?:\bis|\bbe|[为是选]|\b[Hh]ence|\b[Tt]hus|\b[Ss]o|\b[Tt]herefore),?"
    r"\s*(?:option|choice|shape|figure|graph|net|picture)?\s*\(?([A-Z])\)?\W*$"
    r"|^\W*([A-Z])\)?\W{1,4}is (?:the|most likely) (?:correct|right|best|most|answer)"
)
_NEGATION = re.compile(r"\b(?:not|no|never|neither|nor|cannot)\b|n't\b", re.I)
_STEM = re.compile(r"(?:'s|ies|es|s)$")


def letter_of(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else str(index + 1)


def normal(text: str) -> str:
    """An option or statement in the form in which they are compared: tidy, lower case, no outer
    punctuation."""
    text = tidy(text).lower().replace("\\", " ")
    return re.sub(r"\s+", " ", re.sub(r"[\"'`*{}()]", " ", text)).strip(" .,;:!?")


def _stems(text: str) -> frozenset[str]:
    return frozenset(_STEM.sub("", w) if len(w) > 3 else w for w in re.findall(r"[^\W_]+(?:\.\d+)?", text.lower()))


class Options:
    """The options of one question, read once. `gold` holds the indices that count as right."""

    def __init__(self, choices: Sequence[str], answer: str, answer_type: str | None):
        self.texts = [clean(str(choice)) for choice in choices]
        self.normal = [normal(text) for text in self.texts]
        self.letters = [letter_of(i) for i in range(len(self.texts))]
        self.together = answer_type == "letter" and "," in answer  # "A, C": both are wanted
        self.gold = self._gold(clean(answer), answer_type)

    def _gold(self, answer: str, answer_type: str | None) -> set[int]:
        """The answer's letter, and every option whose text is the same; or every option with the answer's
        text."""
        if self.together:
            return {self.letters.index(letter) for letter in re.findall("[A-Z]", answer)}
        by_text = {i for i, text in enumerate(self.normal) if text == normal(answer)}
        letter = answer.strip("() ").upper()
        if letter not in self.letters or (answer_type == "text" and by_text):
            return by_text
        right = self.normal[self.letters.index(letter)]
        return {i for i, text in enumerate(self.normal) if text == right}

    @property
    def yes_no(self) -> bool:
        return set(self.normal) == {"yes", "no"}

    @cached_property
    def _squeezed(self) -> dict[str, int]:
        return {text.replace(" ", ""): i for i, text in reversed(list(enumerate(self.normal))) if text}

    @cached_property
    def _values(self) -> list[tuple[int, quantities.Number]]:
        values = ((i, quantities.parse(text)) for i, text in enumerate(self.texts))
        return [(i, value) for i, value in values if value is not None]

    @cached_property
    def _exact(self) -> dict[Fraction, int]:
        return {value.value: i for i, value in reversed(self._values)}

    def by_letter(self, text: str) -> int | None:
        """The option whose letter `text` is, or begins with, or alone names as `(X)` or `option X`."""
        text = tidy(text)
        for pattern in (_LONE, _LABEL):
            match = pattern.match(text)
            if match:
                letter = next(g for g in match.groups() if g).upper()
                if letter in self.letters and not self._several(text):
                    return self.letters.index(letter)
        named = {m[1] or m[2] for m in _ANY_LABEL.finditer(text)} & set(self.letters)
        return self.letters.index(named.pop()) if len(named) == 1 else None

    @staticmethod
    def _several(text: str) -> bool:
        """Whether more than one letter is offered: "A, C", "(A) or (B)"."""
        return bool(re.match(r"^\(?[A-Z]\)?(?:\s*(?:,|and|or|&|/)\s*\(?[A-Z]\)?)+(?!\w)", text))

    def by_text(self, text: str) -> int | None:
        """The option whose text or plain value `text` is."""
        wanted = normal(text)
        if not wanted:
            return None
        if wanted.replace(" ", "") in self._squeezed:
            return self._squeezed[wanted.replace(" ", "")]
        number = quantities.parse(text)
        if number is None:
            return None
        near = [i for i, value in self._values[:100] if quantities.same(value, number, None, None)]
        return near[0] if near else self._exact.get(number.value)

    def closing(self, text: str) -> int | None:
        """The option whose letter ends a sentence or opens it: "... is D.", "D is the answer"."""
        match = _CLOSING.search(tidy(text[-200:]))
        letter = match and (match[1] or match[2])
        return self.letters.index(letter) if letter in self.letters else None

    def _worth_searching(self, text: str) -> bool:
        """Not among hundreds of options, nor where a response only lists labels."""
        return len(self.texts) <= 100 and len({m[1] for m in _ANY_LABEL.finditer(text)}) < 2

    def mentioned(self, text: str) -> int | None:
        """The only option whose text occurs in `text` as whole words and is not denied there ("not
        square"). An option inside a longer one that also occurs does not count; a single letter is no
        text."""
        if not self._worth_searching(text):
            return None
        haystack = normal(text)[-5000:]
        hits: set[str] = set()
        for option in set(self.normal):
            if len(option) > 1 or option.isdigit():
                found = list(re.finditer(rf"(?<![\w.]){re.escape(option)}(?![\w]|\.\d)", haystack))
                if found and not any(_NEGATION.search(haystack[max(0, m.start() - 25) : m.start()]) for m in found):
                    hits.add(option)
        hits = {a for a in hits if not any(a != b and a in b for b in hits)}
        return self.normal.index(hits.pop()) if len(hits) == 1 else None

    def others(self, index: int, text: str) -> bool:
        """Whether an option other than this one is named anywhere in `text`."""
        haystack = normal(text)
        return any(
            re.search(rf"(?<![\w.]){re.escape(option)}(?![\w]|\.\d)", haystack)
            for option in set(self.normal) - {self.normal[index]}
            if len(option) > 1 and option not in self.normal[index]
        )

    def worded(self, text: str) -> int | None:
        """The only option all of whose words occur in `text`, in any order and number, if it has two or
        more and the clause denies nothing."""
        if not self._worth_searching(text):
            return None
        clause = re.split(r", (?:as|because|since)\b", text[-2000:])[0]
        words = _stems(clause)
        hits = {o for o in self.normal if len(_stems(o)) > 1 and _stems(o) <= words}
        hits = {a for a in hits if not any(_stems(a) < _stems(b) for b in hits)}
        if len(hits) != 1 or _NEGATION.search(clause):
            return None
        return self.normal.index(hits.pop())
