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


_TICK = re.compile(
    r"(?:(?:[Oo]ption|[Cc]hoice|选项)\s*\(?([A-Z])\)?(?![\w'])|\(([A-Z])\)"
    r"|(?<![\w'.])([A-Z])(?=\s*(?:[).:,项选正错对不✓✔✅✗✘❌☑×√]|(?:is|was)\b)))"
)
_NO = (
    r"not (?:the )?(?:correct|right|true)|n't (?:correct|right|true)|incorrect|false|wrong|\bno\b"
    r"|不正确|错误?|不对|✗|✘|❌|×"
)
_MARK = re.compile(rf"(?P<no>{_NO})|\b(?:correct|right|true|yes)\b|正确|对|✓|✔|✅|☑|√", re.I)


class Options:
    """The options of one question, read once. `gold` holds the indices that count as right; `right` what a
    response may take: the letters of these, or the letters that are wanted together ("A, C")."""

    def __init__(self, choices: Sequence[str], answers: Sequence[str], answer_type: str | None):
        self.texts = [clean(str(choice)) for choice in choices]
        self.exact = ["".join(tidy(text).split()) for text in self.texts]
        self.normal = [normal(text) for text in self.texts]
        self.letters = [letter_of(i) for i in range(len(self.texts))]
        lettered = answer_type == "letter"
        wanted = [self.several(clean(a)) if lettered or not self._same(clean(a)) else [] for a in answers]
        self.together = any(len(letters) > 1 for letters in wanted)
        self.gold = set().union(*(self._gold(clean(answer), answer_type) for answer in answers))
        self.right = {", ".join(w) for w in wanted} if self.together else {self.letters[i] for i in self.gold}

    def _gold(self, answer: str, answer_type: str | None) -> set[int]:
        """The answer's letter, and every option with exactly the same text; or every option with the answer's text."""
        letter = answer.strip("() ").upper()
        if letter in self.letters and not (answer_type == "text" and self._same(answer)):
            return self._same(self.texts[self.letters.index(letter)])
        return self._same(answer)

    def _same(self, text: str) -> set[int]:
        """The options whose text is `text`: exactly, else up to case and punctuation if that leaves one text."""
        exact = "".join(tidy(text).split())
        same = {i for i, other in enumerate(self.exact) if other == exact}
        wanted = normal(text).replace(" ", "")
        loose = same or {i for i, other in enumerate(self.normal) if wanted and other.replace(" ", "") == wanted}
        return loose if len({self.exact[i] for i in loose}) == 1 else set()

    def several(self, text: str) -> list[str]:
        """The letters that `text` names one beside the other ("A, C", "B and D", "AC"), in order; else none."""
        text = re.sub(r"\b(?:options?|choices?|answers?|are|is)\b|[:()\[\].]", " ", tidy(text)).strip()
        if not re.fullmatch(r"[A-Z](?:(?:\s*(?:,|;|&|/|\band\b)\s*|\s*)+[A-Z])*", text):
            return []
        letters = sorted(set(re.findall(r"[A-Z]", text)))
        return letters if set(letters) <= set(self.letters) else []

    def ticked(self, text: str, inverted: bool) -> int | None:
        """The one option that a response calls right while it goes through them, or (`inverted`: the question asks
        for the false one) the one that it calls wrong."""
        places = list(_TICK.finditer(text[-5000:]))[:100]
        verdicts: dict[str, bool] = {}
        for match, after in zip(places, [*places[1:], None], strict=False):
            passage = text[-5000:][match.end() : after.start() if after else match.end() + 120]
            mark = _MARK.search(re.split(r"[.;。；!]\s", passage.lstrip(".:) "), maxsplit=1)[0])
            if mark:
                verdicts[next(g for g in match.groups() if g)] = not mark["no"]
        chosen = [letter for letter, true in verdicts.items() if true != inverted]
        if len(chosen) != 1 or chosen[0] not in self.letters or (inverted and len(verdicts) < 2):
            return None
        return self.letters.index(chosen[0])

    @property
    def yes_no(self) -> bool:
        return set(self.normal) == {"yes", "no"}

    @cached_property
    def _clear(self) -> set[str]:
        """The texts without case and punctuation that are of one option only (f is not f')."""
        texts: dict[str, set[str]] = {}
        for text, exact in zip(self.normal, self.exact, strict=True):
            texts.setdefault(text, set()).add(exact)
        return {text for text, options in texts.items() if text and len(options) == 1}

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
        same = self._same(text)
        if same:
            return min(same)
        number = quantities.parse(text)
        if number is None:
            return None
        near = [i for i, value in self._values[:100] if quantities.same(value, number, None, None)]
        if len({self.exact[i] for i in near}) > 1:
            near = [i for i in near if self.normal[i] in self._clear and self._exact.get(number.value) == i]
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
        for option in self._clear:
            if len(option) > 1 or option.isdigit():
                matches = list(re.finditer(rf"(?<![\w.]){re.escape(option)}(?![\w]|\.\d)", haystack))
                if matches and not any(_NEGATION.search(haystack[max(0, m.start() - 25) : m.start()]) for m in matches):
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
        hits = {o for o in self._clear if len(_stems(o)) > 1 and _stems(o) <= words}
        hits = {a for a in hits if not any(_stems(a) < _stems(b) for b in hits)}
        if len(hits) != 1 or _NEGATION.search(clause):
            return None
        return self.normal.index(hits.pop())
