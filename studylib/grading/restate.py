"""Sentences that repeat the question: they carry the answer where nothing says "the answer is"."""

import re

_OPENER = re.compile(
    r"(?:^|[.?!\n]\s*|,\s*)(?:is|are|was|were|does|do|did|can|could|has|have|had|will|would|should)\s+(.+?)\?",
    re.I | re.S,
)
_DOUBT = re.compile(
    r"\b(?:if|whether|unable|determin\w*|information|assum\w*|unclear|may|might|possible|sure|know|provided?"
    r"|cannot|can't)\b",
    re.I,
)
_NEGATION = re.compile(r"\b(?:not|no|never|neither|nor|none|nothing)\b|n't\b", re.I)
_CONCLUSION = re.compile(
    r"\b(?:therefore|thus|hence|so|conclu\w+|overall|correct|answer|suggests?|likely)\b|所以|因此|故", re.I
)
_EMPTY = frozenset(
    "a an the of in on at to is are was were be been does do did has have had there this that these those it "
    "its will would can could should based image shown given picture figure graph by as and or not no "
    "what which who whom when where how many much".split()
)
_MORE = frozenset("more greater larger bigger higher taller longer wider most above over".split())
_LESS = frozenset("less fewer smaller lower shorter narrower least below under".split())


def _words(text: str) -> list[str]:
    words = [w for w in re.findall(r"[a-z0-9]+", text.lower()) if w not in _EMPTY]
    return [w[:-1] if len(w) > 3 and w.endswith("s") else w for w in words]


def _common(left: list[str], right: list[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(right) + 1)
    for a in left:
        previous = 0
        for j, b in enumerate(right, 1):
            previous, row[j] = row[j], previous + 1 if a == b else max(row[j], row[j - 1])
    return row[-1]


def concludes(sentence: str) -> bool:
    return bool(_CONCLUSION.search(sentence))


def supposes(sentence: str) -> bool:
    """Whether a sentence says what would follow if something were so."""
    return bool(re.match(r"^\W*(?:if|suppose|assum\w+|had|were)\b", sentence, re.I)) and bool(
        re.search(r"\b(?:would|wouldn't|were|might|could)\b|contradict", sentence, re.I)
    )


def sentences(text: str) -> list[str]:
    parts = re.split(r"(?<=[.!?])\s+(?=[A-Z(\\$*])|(?<=[.!?])(?=[\u4e00-\u9fff])|\n+", text[-3000:].strip())
    return [part for part in parts if part.strip()]


def restating(question: str, parts: list[str]) -> str | None:
    """The last of the sentences that share the most words with the question, if it has at least 60 % of them
    and doubts nothing."""
    words = set(_words(question[-500:]))
    best, share = None, 0.6
    for part in parts:
        if _DOUBT.search(part):
            continue
        mine = len(words & set(_words(part))) / len(words) if words else 0.0
        if mine >= share:
            best, share = part, mine
    return best


def yes_or_no(question: str, sentence: str) -> str | None:
    """ "yes" or "no" where `sentence` restates the yes-or-no `question` (at least three quarters of
    either's words, in order), as it stands or denied; None where it does not, or doubts."""
    opener = list(_OPENER.finditer(question[-1000:]))
    if not opener or len(sentence) > 600 or _DOUBT.search(sentence):
        return None
    clause, answer = _words(opener[-1][1]), _words(sentence)
    if len(clause) < 2 or not answer:
        return None
    opposite = (set(clause) & _MORE and set(answer) & _LESS) or (set(clause) & _LESS and set(answer) & _MORE)
    shared = _common(clause, answer) + (1 if opposite else 0)
    if shared < 0.75 * min(len(clause), len(answer)) or shared < 0.5 * max(len(clause), len(answer)):
        return None
    denied = bool(_NEGATION.search(sentence)) != bool(_NEGATION.search(opener[-1][1]))
    return "no" if denied != bool(opposite) else "yes"
