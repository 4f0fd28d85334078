"""Text as the grader reads it: one kind of digit, of space, of bracket, and nothing invisible."""

import re
import unicodedata

MAX_TEXT = 200_000

_TYPOGRAPHY = {
    "\u2212": "-", "\u2010": "-", "\u2011": "-", "\u2013": "-", "\ufe63": "-",
    "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u3002": ".", "\u3001": ",",
    "\u066b": ".", "\u066c": ",", "\u2044": "/", "\u2028": "\n", "\u2029": "\n",
}  # fmt: skip
_NOT_PLAIN = re.compile(r"[^\t\n\x20-\x7e]")


_CJK = "\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af"
_SCRIPT_EDGE = re.compile(rf"(?<=[{_CJK}])(?=[A-Za-z0-9(\\-])|(?<=[A-Za-z0-9)])(?=[{_CJK}])")


def _plain(character: str) -> str:
    if character in _TYPOGRAPHY:
        return _TYPOGRAPHY[character]
    if 0xFF01 <= ord(character) <= 0xFF5E:
        return chr(ord(character) - 0xFEE0)
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    category = unicodedata.category(character)
    if category == "Zs":
        return " "
    if category in ("Cc", "Cf", "Cs", "Co", "Cn"):
        return "\n" if character == "\r" else ""
    return character


def clean(text: str) -> str:
    """The last `MAX_TEXT` characters of `text`, with digits of any script as ASCII digits, full-width forms
    as ASCII, a space where Chinese, Japanese or Korean script meets Latin, and control, direction,
    zero-width and surrogate characters removed."""
    text = text[-MAX_TEXT:].replace("\r\n", "\n")
    if not _NOT_PLAIN.search(text):
        return text
    text = _SCRIPT_EDGE.sub(" ", text)
    table = {ord(c): _plain(c) for c in set(_NOT_PLAIN.findall(text))}
    return text.translate(table)


_WRAPPERS = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|it|sf|tt|cal)|mbox|operatorname|boldsymbol|bm|pmb|emph)"
    r"\s*\{([^{}]*)\}"
)
_SPACING = re.compile(r"\\(?:left|right|displaystyle|textstyle|limits|[,;:! ]|quad|qquad)(?![a-zA-Z])|~")
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree|[\u00b0\u00ba]")
_DELIMITERS = re.compile(r"\\[()\[\]]|\$+|\*\*|(?<!\w)__|__(?!\w)|</?s>|<\|[a-z_]+\|>")


def tidy(text: str) -> str:
    """An answer without its typography: no math delimiters, bold, spacing macros or outer box; `\\text{cm}`
    as ` cm `, degrees as ` degrees`, `\\dfrac` as `\\frac`. Idempotent; what it means is untouched."""
    text = text.strip()
    if "\\" in text or "$" in text or "*" in text or "{" in text or "<" in text or not text.isascii():
        text = text.replace("\\$", "").replace("{,}", ",").replace("\\%", "%").replace(",\\!", ",")
        text = _SPACING.sub(" ", _DELIMITERS.sub("", text))
        text = re.sub(r"\\[dtc]frac", r"\\frac", text)
        for _ in range(3):
            text = _WRAPPERS.sub(r" \1 ", text)
        text = _DEGREES.sub(" degrees", text)
        text = re.sub(r"\\(?:boxed|fbox)\s*\{([^{}]*)\}", r"\1", text)
        text = text.replace("\\lt ", "<").replace("\\gt ", ">")
    return re.sub(r"\s+", " ", text).strip().rstrip(".,;:\\").strip()
