"""Text as the grader reads it: one kind of digit, of space, of bracket, and nothing invisible."""

import re
import unicodedata
from functools import lru_cache

MAX_TEXT, MAX_KEPT = 200_000, 300

_TYPOGRAPHY = {
    "\u2212": "-", "\u2010": "-", "\u2011": "-", "\u2013": "-", "\ufe63": "-",
    "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u3002": ".", "\u3001": ",",
    "\u066b": ".", "\u066c": ",", "\u2044": "/", "\u2028": "\n", "\u2029": "\n",
}  # fmt: skip
_NOT_PLAIN = re.compile(r"[^\t\n\x20-\x7e]")
# LaTeX read as if it were a program's text: "\\f" of "\\frac" became a form feed, "\\t" of "\\times" a tab.
_EATEN = re.compile(
    "[\x07\x08\x0b\x0c](?=[a-zA-Z])|\t(?=(?:imes|heta|riangle)\\b|(?:ext|frac)\\s*{)|\r(?=(?:ight|ho|angle)\\b)|\n(?=eq\\b)"
)
_ESCAPES = {"\x07": "a", "\x08": "b", "\t": "t", "\n": "n", "\x0b": "v", "\x0c": "f", "\r": "r"}


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
    as ASCII, a space where Chinese, Japanese or Korean script meets Latin, backslashes of LaTeX that an escape
    swallowed, and control, direction, zero-width and surrogate characters removed."""
    text = text[-MAX_TEXT:].replace("\r\n", "\n")
    plain = not _NOT_PLAIN.search(text)
    if not plain or "\t" in text or "\neq" in text:
        text = _EATEN.sub(lambda m: "\\" + _ESCAPES[m[0]], text)
    if plain:
        return text
    text = _SCRIPT_EDGE.sub(" ", text)
    table = {ord(c): _plain(c) for c in set(_NOT_PLAIN.findall(text))}
    return text.translate(table)


_WRAPPERS = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|it|sf|tt|cal)|mbox|operatorname|boldsymbol|bm|pmb|emph)"
    r"\s*\{([^{}]*)\}"
)
_SPACING = re.compile(r"\\(?:left|right|displaystyle|textstyle|limits|[,;:! ]|quad|qquad)(?![a-zA-Z])|~")
_DEGREES = re.compile(
    r"(?:\{\})?\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![a-z]))|(?:\\(?:text)?|text)degree\b|[\u00b0\u00ba]|\{\s*degrees\s*\}"
)
_DELIMITERS = re.compile(r"\\[()\[\]]|\$+|\*\*|(?<!\w)__|__(?!\w)|</?s>|<\|[a-z_]+\|>")
_BRACED = re.compile(r"(?<![\w\\}\]^_])(?<![a-zA-Z\\}\]^_] )\{\s*([\w.]+(?: degrees)?)\s*\}")
_BRACED_UNIT = re.compile(
    r"(?<=[\w}])\{\s*(square|cubic)?\s*(degrees?|units?|inch(?:es)?|f(?:oo|ee)t|[a-z]*(?:met(?:er|re)|gram)s?"
    r"|miles?|yards?|hours?|minutes?|seconds?)\s*\}"
)
_GLYPHS = (
    "π pi × times ÷ div ⋅ cdot · cdot ± pm ≤ leq ⩽ leq ≦ leq ≥ geq ⩾ geq ≧ geq ≠ neq ∞ infty ∪ cup ∩ cap ∈ in "
    "∅ emptyset ∠ angle △ triangle ⊥ perp ⟂ perp ∥ parallel ≅ cong ≌ cong ∽ sim ∼ sim α alpha β beta γ gamma θ theta "
    "λ lambda φ phi ω omega … ldots ½ frac{1}{2} ¼ frac{1}{4} ¾ frac{3}{4} ⅓ frac{1}{3} ⅔ frac{2}{3}"
).split()
_LATEX = str.maketrans({glyph: f"\\{name} " for glyph, name in zip(_GLYPHS[::2], _GLYPHS[1::2], strict=True)})
_LATEX |= str.maketrans({"\u2236": ":", "\u2032": "'", "\u2033": "''"})
_RAISED = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u207f]+")
_LOWERED = re.compile("[\u2080-\u208e]+")
_ROOT = re.compile(
    r"(?:(\u221a|\u221b)|(?<![\\a-zA-Z])sqrt(?=[({\d]))\s*(?:\(([^()]*)\)|\{([^{}]*)\}|(\d+(?:\.\d+)?|\\?[a-zA-Z]+))"
)
_OVERLINED = re.compile("((?:\\d[\u0304\u0305])+)|(\\d)\u0307")
_WORD_PI = re.compile(r"(?<![\\a-zA-Z])pi(?![a-zA-Z])")
_NAMES = re.compile(r"\\(?:(leqslant|le)|(geqslant|ge)|(varnothing)|(backsim)|(vartriangle)|(colon))(?![a-zA-Z])")
_NAMES_OF = ("\\leq ", "\\geq ", "\\emptyset ", "\\sim ", "\\triangle ", ":")


def _small(characters: str) -> str:
    return unicodedata.normalize("NFKC", characters).replace("\u2212", "-")


def _root(match: re.Match[str]) -> str:
    index = "[3]" if match[1] == "\u221b" else ""
    return f"\\sqrt{index}{{{match[2] or match[3] or match[4]}}}"


def latex(text: str) -> str:
    """Mathematics in Unicode or in words of a keyboard as LaTeX: roots, powers, relations, Greek letters."""
    if not text.isascii():
        text = _OVERLINED.sub(lambda m: f"\\overline{{{m[1][::2]}}}" if m[1] else f"\\dot{{{m[2]}}}", text)
        text = _RAISED.sub(lambda m: f"^{{{_small(m[0])}}}", text)
        text = _LOWERED.sub(lambda m: f"_{{{_small(m[0])}}}", text).translate(_LATEX)
    text = re.sub(r"(?<=[A-Za-z])\s*//\s*(?=[A-Za-z])", r" \\parallel ", text) if "//" in text else text
    if "sqrt" in text or "\u221a" in text or "\u221b" in text:
        text = _ROOT.sub(_root, text)
    return _WORD_PI.sub(r"\\pi ", text) if "pi" in text else text


def tidy(text: str) -> str:
    """An answer without its typography: no math delimiters, bold, spacing macros, needless braces or outer box;
    `\\text{cm}` as ` cm `, degrees as ` degrees`, `\\dfrac` as `\\frac`, Unicode mathematics as LaTeX.
    Idempotent; what it means is untouched."""
    return _tidied(text) if len(text) > MAX_KEPT else _kept(text)


def _tidied(text: str) -> str:
    text = latex(text.strip())
    if "\\" in text or "$" in text or "*" in text or "{" in text or "<" in text or not text.isascii():
        text = text.replace("\\$", "").replace("{,}", ",").replace("\\%", "%").replace(",\\!", ",")
        text = _SPACING.sub(" ", _DELIMITERS.sub("", text))
        text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("\\cfrac", "\\frac")
        for _ in range(3):
            text = _WRAPPERS.sub(r" \1 ", text)
        text = _NAMES.sub(lambda m: _NAMES_OF[m.lastindex - 1], text)
        text = _BRACED_UNIT.sub(lambda m: " " + " ".join(filter(None, m.groups())), text)
        text = _DEGREES.sub(" degrees ", re.sub(r"(?<![\w}\]])\{\}", "", _DEGREES.sub(" degrees ", text)))
        for _ in range(2):
            text = _BRACED.sub(r"\1", text)
        text = re.sub(r"\\(?:boxed|fbox|framebox)\s*\{([^{}]*)\}", r"\1", text)
        text = re.sub(r"(?<=\d)\s*\^\s*(?:\{\s*\\prime\s*\}|\\prime(?![a-z]))", "'", text)
        text = text.replace("\\lt ", "<").replace("\\gt ", ">")
    if "..." in text or "dots" in text:
        text = re.sub(r"(?<=\d)\s?(?:\.{3,}|\\[lc]?dots\b)", r"\\ldots", text)
    return " ".join(text.split()).rstrip(".,;:\\").strip()


_kept = lru_cache(maxsize=20_000)(_tidied)  # one answer is tidied some ten times on its way
