"""The lessons point at what is there: minutes, cells, tables and exercises."""

import json
import re

import pytest

from studylib.paths import ROOT

TEACH = ROOT / "teach"
LESSONS = sorted(TEACH.glob("lesson-*.md"))
PAGES = [*LESSONS, TEACH / "lab.md", TEACH / "assignment.md"]
CHAPTERS = {path.stem: json.loads(path.read_text())["cells"] for path in (ROOT / "notebooks").glob("*.ipynb")}
TEXT = {name: "\n".join("".join(cell["source"]) for cell in cells) for name, cells in CHAPTERS.items()}


def test_there_are_six_lessons_of_ninety_minutes():
    assert len(LESSONS) == 6
    for page in LESSONS:
        plan = page.read_text().split("| minutes | plan |")[1].split("\n\n")[0]
        assert sum(map(int, re.findall(r"^\| (\d+) \|", plan, re.M))) == 90, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_cells_tables_and_exercises_are_there(page):
    text = page.read_text()
    for number, heading in re.findall(r"^\| (\d\d) \| ([^|]+?) \| [^|]+ \|$", text, re.M):
        (chapter,) = (words for name, words in TEXT.items() if name.startswith(number))
        assert f"## {heading}\n" in chapter, (number, heading)
    for name, table in re.findall(r"outputs/mini/tables/(\w+)/(\w+)\.csv", text):
        assert f'"{table}")' in TEXT[name], (name, table)
    for table in re.findall(r"outputs/grading/(\w+)\.csv", text):
        assert (ROOT / "outputs" / "grading" / f"{table}.csv").exists(), table
    if "**Exercises.**" in text:
        for name in re.findall(r"`(\w+)`", text.split("**Exercises.**")[1]):
            assert (TEACH / "exercises" / f"{name}.py").exists(), name


@pytest.mark.parametrize("page", sorted(TEACH.rglob("*.md")), ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
