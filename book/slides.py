"""Eleven figures as slides, taken out of the executed chapters: titles, numbers and stamps are those of the chapters.

book/build.py writes them beside the site. reveal.js is the copy in sphinx-revealjs, plotly.js that of the site.
"""

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import plotly.graph_objects as go

WIDTH, HEIGHT = 920, 520  # of a slide's 960 by 700
# Chapter, figure (the name that it is shown by there), and what to ask before anybody explains it.
FIGURES = (
    ("00", "paper-figure-1", "Where does SFT lose, and where does it win? What does RL do there?"),
    ("01", "pass-rates", "For whom is a question hard? What would this look like for a better base?"),
    ("01", "base-gains", "Nothing was trained on the dashed line. Why does it fall?"),
    ("02", "habits", "Which habit of grading would have made a finding of its own?"),
    ("03", "gain-against-length", "Do longer answers make a better model?"),
    ("04", "rl-curves", "Which of the curves would have shown a collapse?"),
    ("05", "figure-1", "Is this the paper's pattern? Which interval decides it?"),
    ("05", "accuracy-against-length", "What does a right answer cost in tokens?"),
    ("10", "merge-shares", "What would you have drawn between the two ends?"),
    ("11", "the-question", "Which combination is shown to be as good as the better parent at every level?"),
    ("13", "accuracy-by-dose", "Which arm's accuracy moves with what the base has seen, and which does not?"),
)
START = """# The synergy dilemma

Eleven figures, as the chapters drew them. Arrow keys turn the pages; every figure answers to the mouse.

```{raw} html
<script src="../_static/plotly.min.js"></script>
<style>
  .reveal h1, .reveal h2 { font-size: .9em; text-transform: none; }
  .reveal p { font-size: .6em; }
  .reveal .plotly-graph-div { margin: 0 auto; }
</style>
```
"""
SLIDE = """
## {title}

```{{raw}} html
{figure}
```

{question} ([chapter {number}](../notebooks/{chapter}.html))
"""
SETTINGS = {
    "project": "The synergy dilemma",
    "extensions": "myst_parser,sphinx_revealjs",
    "revealjs_style_theme": "white",
    "suppress_warnings": "myst.xref_missing",
}


def write_slides(site: Path, chapters: Path, work: Path) -> int:
    """The slides of executed chapters into site/slides; `work` is emptied. Gives the exit status of sphinx.

    It has a process of its own, since what the extensions of the site register stays in the process that built it.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "index.md").write_text(markdown(chapters))
    settings = [word for key, value in SETTINGS.items() for word in ("-D", f"{key}={value}")]
    command = [sys.executable, "-m", "sphinx", "-q", "-C", *settings, "-b", "revealjs", "-d", f"{work}-doctrees"]
    return subprocess.run([*command, str(work), str(site / "slides")], check=False).returncode


def markdown(chapters: Path) -> str:
    """One slide per figure; a figure that no executed chapter holds is named on the last one."""
    slides, missing = [], []
    for number, name, question in FIGURES:
        chapter = next(chapters.glob(f"{number}_*.ipynb"), None)
        fig = chapter and figure(chapter, name)
        if not fig:
            missing.append(f"- chapter {number}, {name}")
            continue
        title = html.unescape(re.sub(r"<[^>]+>", " ", fig.layout.title.text or name))
        fig.update_layout(title_text="", width=WIDTH, height=min(HEIGHT, fig.layout.height or HEIGHT), autosize=False)
        named = f"slide-{name}-{number}"
        drawn = fig.to_html(full_html=False, include_plotlyjs=False, div_id=named, config={"displayModeBar": False})
        slides.append(SLIDE.format(title=title, figure=drawn, question=question, number=number, chapter=chapter.stem))
    if missing:
        slides.append("\n## Not executed yet\n\n" + "\n".join(missing) + "\n")
    return START + "".join(slides)


def figure(chapter: Path, name: str) -> go.Figure | None:
    """The figure that an executed chapter shows by that name."""
    for cell in nbformat.read(chapter, 4).cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            drawn = data.get("application/vnd.plotly.v1+json")
            if drawn and re.search(rf'id="(figure-)?{re.escape(name)}"', data.get("text/html", "")):
                return go.Figure({"data": drawn["data"], "layout": drawn["layout"]})
    return None
