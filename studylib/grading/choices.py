"""From what a response states to one of the options: by letter, by the option's text, by its value."""

import re

from studylib.grading import numbers
from studylib.grading.clean import clean, tidy

_LONE = re.compile(r"^[\s\"'(\[{]*([A-Z])[\s\"')\]}.:]*$")
_LONE_SMALL = re.compile(r"^[\s\"'(\[{]*([a-z])[\s\"')\]}.:]*$")
_LABEL = re.compile(r"^(?:option|choice|answer|letter)?\s*(?:\(\s*([A-Z])\s*\)|\[([A-Z])\]|([A-Z])\s*[).:](?!\w)|([A-Z])\s*\()", re.I)
_ANY_LABEL = re.compile(r"\(\s*([A-Z])\s*\)|(?:\b(?:[Oo]ption|[Cc]hoice)\s+\(?)([A-Z])\b\)?")
_NAMED = re.compile(r"(?<![\w'\\^_{$-])([A-Z])(?![\w'^_}$-])")
_SEVERAL = re.compile(r"^\(?([A-Z])\)?(?:\s*(?:,|and|or|&|/)\s*\(?([A-Z])\)?)+$")


def letter_of(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else str(index + 1)


def normal(text: str) -> str:
    """An option or statement in the form in which they are compared: tidy, lower case, no outer punctuation."""
    text = tidy(text).lower().replace("\\", " ")
    return re.sub(r"\s+", " ", re.sub(r"[\"'`*{}()]", " ", text)).strip(" .,;:!?")


class Options:
    """The options of one question, read once."""

    def __init__(self, choices: list[str], answer: str, answer_type: str | None):
        self.texts = [clean(str(choice)) for choice in choices]
        self.normal = [normal(text) for text in self.texts]
        self.letters = [letter_of(i) for i in range(len(self.texts))]
        self.gold = self._gold(clean(str(answer)), answer_type)

    def _gold(self, answer: str, answer_type: str | None) -> set[int]:
        """Indices that count as right: the answer's letter, or every option whose text is the answer's."""
        by_text = {i for i, text in enumerate(self.normal) if text == normal(answer)}
        by_letter = {self.letters.index(answer.strip("() ").upper())} if answer.strip("() ").upper() in self.letters else set()
        if by_letter and not (answer_type == "text" and by_text):
            same = self.normal[next(iter(by_letter))]
            return {i for i, text in enumerate(self.normal) if text == same}
        return by_text

    def by_letter(self, text: str) -> int | None:
        """The option whose letter `text` is, or begins with, or names as `(X)`."""
        for pattern in (_LONE, _LONE_SMALL, _LABEL):
            match = pattern.match(text)
            if match:
                letter = next(g for g in match.groups() if g).upper()
                if letter in self.letters:
                    return self.letters.index(letter)
        named = {m[1] or m[2] for m in _ANY_LABEL.finditer(text)} & set(self.letters)
        return self.letters.index(named.pop()) if len(named) == 1 else None

    def by_text(self, text: str) -> int | None:
        """The option whose text or plain value `text` is."""
        wanted = normal(text)
        if not wanted:
            return None
        hits = [i for i, option in enumerate(self.normal) if option == wanted]
        if hits:
            return hits[0]
        squeezed = wanted.replace(" ", "")
        hits = [i for i, option in enumerate(self.normal) if option and option.replace(" ", "") == squeezed]
        if hits:
            return hits[0]
        number = numbers.parse(text)
        if number is None or len(self.texts) > 1000:
            return None
        for i, option in enumerate(self.texts):
            value = numbers.parse(option)
            if value is not None and numbers.same(value, number, None, None):
                return i
        return None

    def mentioned(self, text: str) -> int | None:
        """The only option whose text occurs in `text` as whole words (an option inside a longer one that also
        occurs does not count)."""
        if len(self.texts) > 100:
            return None
        haystack = normal(text)[-5000:]
        hits = []
        for i, option in enumerate(self.normal):
            if option and re.search(rf"(?<![\w.]){re.escape(option)}(?![\w]|\.\d)", haystack):
                hits.append(i)
        longest = [i for i in hits if not any(i != j and self.normal[i] in self.normal[j] and self.normal[i] != self.normal[j] for j in hits)]
        texts = {self.normal[i] for i in longest}
        return longest[0] if len(texts) == 1 else None
