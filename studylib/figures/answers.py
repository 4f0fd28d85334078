"""What models answer to one question, beside its picture, each step marked right or wrong."""

import base64
import html
import io
import json

import pandas as pd

from studylib.figures.palette import colour_of, in_order, name_of
from studylib.world.checker import check

# See-through, so that they do on a light page and on a dark one; what is wrong is underlined as well.
RIGHT = "background:rgba(20,150,70,.22)"
WRONG = "background:rgba(220,20,90,.22);text-decoration:underline wavy rgb(220,20,90) 1px"
CARD = "border:1px solid rgba(128,128,128,.4);border-radius:6px;padding:.6em;min-width:0"
TEXT = "font-family:monospace;font-size:13px;line-height:1.6;white-space:pre-wrap;overflow-wrap:anywhere"


def side_by_side(question: dict, level: str, answers: pd.DataFrame) -> str:
    """HTML of a question row with its pictures, and one card per arm, from a phone's 390 px on.

    answers: score rows (scores.join_scores) of that question, several samples of an arm at will.
    """
    cards = "".join(_card(arm, answers[answers["arm"] == arm], question["scene"]) for arm in _arms(answers))
    grid = "display:grid;gap:.6em;grid-template-columns:repeat(auto-fit,minmax(min(100%,260px),1fr))"
    marks = f'<span style="{RIGHT}">right by the program</span>, <span style="{WRONG}">wrong</span>'
    legend = f'<p style="font-size:12px;margin:.4em 0">Steps: {marks}.</p>' if question["scene"] else ""
    return f'<div class="answers">{_question(question, level)}{legend}<div style="{grid}">{cards}</div></div>'


def _arms(answers: pd.DataFrame) -> list[str]:
    return in_order(list(answers["arm"].unique()))


def _question(question: dict, level: str) -> str:
    pictures = "".join(
        f'<img src="{data_uri(image)}" alt="the picture of the question" style="width:168px;max-width:45%">'
        for image in question["images"]
    )
    text = html.escape(question["question"]).replace("\n", "<br>")
    about = f"{question['id']}, {question['benchmark']}, {level}"
    return (
        f'<div style="display:flex;gap:1em;align-items:flex-start;margin-bottom:.4em">{pictures}'
        f'<div style="min-width:0"><p style="font-size:12px;margin:0 0 .4em;opacity:.75">{about}</p>'
        f'<p style="margin:0 0 .4em">{text}</p><p style="margin:0">Answer: <b>{html.escape(question["answer"])}</b></p>'
        "</div></div>"
    )


def _card(arm: str, samples: pd.DataFrame, scene: str) -> str:
    shown = typical(samples)
    mark = "✔" if shown["correct"] else "✘"
    right = f"{int(samples['correct'].sum())} of {len(samples)} samples right"
    head = f'<b style="border-left:.4em solid {colour_of(arm)};padding-left:.4em">{name_of(arm)}</b>'
    note = f'<span style="font-size:12px;opacity:.75">{right}; {shown["tokens"]} tokens, {shown["outcome"]}</span>'
    text = marked(shown["text"], json.loads(scene) if scene else {})
    return f'<div style="{CARD}"><div>{mark} {head}<br>{note}</div><div style="{TEXT}">{text}</div></div>'


def typical(samples: pd.DataFrame) -> pd.Series:
    """The first sample that ends as most do."""
    ordered = samples.sort_values(["seed", "sample"])
    usual = ordered["correct"].mean() >= 0.5
    return ordered[ordered["correct"] == usual].iloc[0]


def spans(text: str, program: dict) -> list[tuple[int, int, bool]]:
    """Start, end and truth of each step. A scene that was made before questions had hops tells none."""
    return [(step.start, step.end, step.right) for step in check(program, text)] if "hop" in program else []


def marked(text: str, program: dict) -> str:
    """The text as HTML, its steps coloured by the scene's program."""
    parts, last = [], 0
    for start, end, right in spans(text, program):
        step = f'<span style="{RIGHT if right else WRONG}">{html.escape(text[start:end])}</span>'
        parts += [html.escape(text[last:start]), step]
        last = end
    return "".join(parts) + html.escape(text[last:])


def data_uri(image) -> str:
    """A picture as a PNG inside a page."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
