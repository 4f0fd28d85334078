"""Builds the site into runs/book/site: python -m book.build [SCALE]. Nothing is executed; npm fetches two libraries."""

import shutil
import sys
import time
from pathlib import Path

import nbformat
from plotly.offline import get_plotlyjs

from book.explorer import write_explorer
from book.model_page import write_models
from book.slides import write_slides
from studylib.errors import StudyError
from studylib.paths import ROOT, reference_root, runs_root

BOOK = ROOT / "book"
# A cell that only draws or shows is folded: what is left open is what a chapter works out.
SHOWS = ("study = Study(", "study.results(", "study.run(", "study.show", "plain(", "verdicts(")
SHOWS += ("settings(", "over_all(")


def build(site: Path, scale: str = "mini") -> None:
    """The site of one scale's committed chapters. Raises StudyError where there are none, or sphinx stops."""
    from sphinx.cmd.build import main as sphinx

    begun, source = time.monotonic(), site.parent / "source"
    size = assemble(source, scale)
    print(f"explorer: {size / 2**20:.1f} MiB; {time.monotonic() - begun:.0f} s", flush=True)
    if sphinx(["-q", "-b", "html", "-d", str(site.parent / "doctrees"), str(source), str(site)]):
        raise StudyError("sphinx stopped; its reason stands above.")
    if write_slides(site, reference_root(scale) / "chapters", site.parent / "slides"):
        raise StudyError("the slides stopped; their reason stands above.")
    print(f"{site / 'index.html'}: {time.monotonic() - begun:.0f} s in all")


def assemble(source: Path, scale: str) -> int:
    """What sphinx reads, with its links as they are in the checkout; gives the explorer's size in bytes."""
    executed = sorted((reference_root(scale) / "chapters").glob("*.ipynb"))
    if not executed:
        raise StudyError(
            f"outputs/{scale} has no executed chapters: make study and make reference SCALE={scale} first."
        )
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(BOOK / "static", source / "static")
    shutil.copytree(ROOT / "teach", source / "teach", ignore=shutil.ignore_patterns("__pycache__", "conftest.py"))
    for page in (source / "teach").rglob("*.md"):  # the site has what is in book/ at its top
        page.write_text(page.read_text().replace("](../book/", "](../"))
    for file in (BOOK / "conf.py", *BOOK.glob("*.md"), *BOOK.glob("*.bib")):
        shutil.copy(file, source)
    (source / "notebooks").mkdir()
    for chapter in executed:
        nbformat.write(for_the_page(nbformat.read(chapter, 4)), source / "notebooks" / chapter.name)
    (source / "static" / "plotly.min.js").write_text(get_plotlyjs())
    try:
        size = write_models(source / "static" / "models", scale, source.parent / "npm")
        print(f"models: {size / 2**20:.1f} MiB", flush=True)
    except StudyError as error:
        (source / "model.md").unlink()
        print(f"The page that runs the models is left out: {error}", flush=True)
    return write_explorer(source / "static" / "explorer", scale)


def for_the_page(chapter: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A chapter without its parameters, furniture folded, and each output as the page needs it, once."""
    for cell in chapter.cells:
        if cell.cell_type != "code":
            continue
        tags = cell.metadata.setdefault("tags", [])
        if {"parameters", "injected-parameters"} & set(tags):
            tags.append("remove-cell")
        elif any(word in cell.source for word in SHOWS):
            tags.append("hide-input")
        for output in cell.outputs:
            data = output.get("data", {})
            if "text/html" in data:
                output["data"] = {"text/html": data["text/html"]}
    return chapter


if __name__ == "__main__":
    try:
        build(runs_root("book") / "site", *sys.argv[1:])
    except StudyError as error:
        sys.exit(f"Error: {error}")
