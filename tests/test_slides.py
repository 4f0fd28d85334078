"""The slides: each figure has a chapter that shows it, and no number is typed beside it."""

import json

import pytest

from book.slides import FIGURES, START, figure, markdown
from studylib.paths import ROOT

CHAPTERS = ROOT / "outputs" / "mini" / "chapters"


def test_every_slide_is_a_figure_that_its_chapter_shows():
    for number, name, _ in FIGURES:
        (chapter,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
        cells = ["".join(cell["source"]) for cell in json.loads(chapter.read_text())["cells"]]
        assert any("study.show(" in cell and f'"{name}"' in cell for cell in cells), (number, name)


def test_no_number_is_typed():
    assert not any(letter.isdigit() for _, _, asked in FIGURES for letter in asked)
    assert not any(letter.isdigit() for letter in START.split("```")[0])


@pytest.mark.skipif(not CHAPTERS.exists(), reason="no chapter is committed as executed")
def test_a_slide_has_the_committed_figures_title_and_data():
    deck = markdown(CHAPTERS)
    shown = [(number, name) for number, name, _ in FIGURES if f'id="slide-{name}-{number}"' in deck]
    assert shown
    for number, name in shown:
        drawn = figure(next(CHAPTERS.glob(f"{number}_*.ipynb")), name)
        assert drawn.layout.title.text.split("<br>")[0] in deck


def test_a_figure_that_is_not_there_is_named(tmp_path):
    assert "slide-" not in markdown(tmp_path) and "Not executed yet" in markdown(tmp_path)
