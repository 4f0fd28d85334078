"""Chapters are executed side by side, published with their tables, and stopped in one sentence."""

import json

import nbformat
import pandas as pd
import pytest

from studylib.errors import StudyError
from studylib.study import chapters
from studylib.study.notebook import Study
from studylib.study.progress import Logs

SAVES = "import pandas as pd\nstudy.keep(pd.DataFrame({'seed': [seed]}), 'numbers')"
STOPS = "study.stage('rl.grade')"


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study whose plan is empty, so that only chapters are to be made."""
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path / "runs"))
    study = Study("smoke", 2, train=True)
    study.plan.clear()
    return study


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(chapters, "NOTEBOOKS", tmp_path)
    return tmp_path


def write(folder, name, code):
    """A chapter as ours begin: its parameters, its study."""
    parameters = nbformat.v4.new_code_cell("scale = 'mini'\nseed = 1\ntrain = False", metadata={"tags": ["parameters"]})
    first = nbformat.v4.new_code_cell("from studylib.study.notebook import Study\nstudy = Study(scale, seed, train)")
    cells = [parameters, first, nbformat.v4.new_code_cell(code)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / name)
    return folder / name


def test_a_chapter_is_executed_once_and_its_tables_are_published(study, folder, capsys):
    write(folder, "00_saves.ipynb", SAVES)
    chapters.study_all(study)
    (run,) = chapters.run_chapters(chapters.chapters(), study)
    assert pd.read_csv(run.path / "tables" / "numbers.csv")["seed"].tolist() == [2]
    assert json.loads((run.path / "00_saves.ipynb").read_text())["cells"][-1]["execution_count"]
    assert set(run.manifest["files"]) == {"00_saves.ipynb", "tables/numbers.csv"}
    capsys.readouterr()
    chapters.study_all(study)
    assert "Nothing to do: every stage and chapter of smoke, seed 2 is published." in capsys.readouterr().out


def test_a_chapter_that_stops_is_told_in_a_sentence_and_the_others_are_kept(study, folder, capsys):
    notebooks = [write(folder, "00_stops.ipynb", STOPS), write(folder, "01_saves.ipynb", SAVES)]
    with pytest.raises(StudyError, match=r"^00_stops stopped \(why stands above\)"):
        chapters.run_chapters(notebooks, study)
    told = capsys.readouterr().out
    assert "00_stops: The plan of smoke, seed 2 has no stage 'rl.grade'; did you mean 'rl.grades'?" in told
    assert "(executed so far: " in told and chapters.published(chapters.chapter_stage(notebooks[1], study), study.root)


def test_another_cell_is_another_chapter(study, folder):
    before = chapters.chapter_stage(write(folder, "00_a.ipynb", SAVES), study).identity
    assert chapters.chapter_stage(write(folder, "00_a.ipynb", SAVES), study).identity == before
    assert chapters.chapter_stage(write(folder, "00_a.ipynb", STOPS), study).identity != before


def test_each_line_of_a_growing_log_is_passed_on_once(tmp_path):
    (tmp_path / "log-old.txt").write_text("said before\n")
    logs = Logs(tmp_path, "log-*.txt")
    assert logs.new() == []
    with (tmp_path / "log-new.txt").open("w") as log:
        for text, lines in [("one\ntw", ["one"]), ("o\n\nthree\n", ["two", "three"]), ("", [])]:
            log.write(text)
            log.flush()
            assert logs.new() == lines
    (tmp_path / "log-new.txt").unlink()
    assert logs.new() == []
