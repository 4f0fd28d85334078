"""Reading is the default; training is asked for and says its price; what a chapter keeps, what its identity holds."""

import json

import nbformat
import pandas as pd
import pytest

from studylib.errors import StudyError
from studylib.study import reference
from studylib.study.chapters import used_by
from studylib.study.notebook import Study


def test_params_of_ones_own_are_only_for_a_study_that_trains():
    with pytest.raises(StudyError, match=r"not committed: Study\(..., train=True\)"):
        Study("smoke", 1, overrides={"rl.beta": 0.02})
    assert Study("smoke", 1, True, {"rl.beta": 0.02}).params.rl.beta == 0.02


def test_the_price_is_that_of_the_committed_manifests(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path))
    monkeypatch.setattr("studylib.study.notebook.reference_root", lambda scale: tmp_path / "committed")
    study = Study("smoke", 1, train=True)
    for label, seconds, peak in (("questions.test", 60, 1.5), ("base_a.responses", 540, 4.25)):
        folder = tmp_path / "committed" / "stages" / label
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"seconds": seconds, "peak_memory_gib": peak}))
    said = study.price("base_a.responses")
    assert said.startswith("2 stages to compute (questions.test, base_a.responses): about 10 minutes of one core")
    assert "up to 4.2 GiB a process" in said


def test_a_table_is_kept_with_its_index_where_that_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study, table = Study("smoke"), pd.DataFrame({"gain": [1.5]}, index=pd.Index(["rl"], name="arm"))
    assert study.keep(table, "named") is table
    study.keep(table.reset_index(drop=True), "unnamed")
    assert (tmp_path / "tables" / "named.csv").read_text() == "arm,gain\nrl,1.5\n"
    assert (tmp_path / "tables" / "unnamed.csv").read_text() == "gain\n1.5\n"


def test_a_chapters_identity_holds_what_its_code_names():
    source = "from studylib import Study, analysis, figures\nfrom studylib.train.mixing import mix\n"
    source += "kl = analysis.divergence\nfigures.tokens.length_by_level(r.lengths)\n"
    wanted = ("studylib.analysis.divergence:*", "studylib.figures.tokens:length_by_level", "studylib.train.mixing:mix")
    assert used_by(source) == wanted


def test_a_committed_chapter_reads_where_it_was_run_to_train(tmp_path):
    cell = nbformat.v4.new_code_cell
    cells = [cell('scale = "mini"\nseed = 1\ntrain = False'), cell("scale = 'smoke'\nseed = 2\ntrain = True")]
    for one, tag in zip(cells, ("parameters", "injected-parameters"), strict=True):
        one.metadata["tags"] = [tag]
    given = {"parameters": {"scale": "smoke", "seed": 2, "train": True}, "input_path": "a", "output_path": "b"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"papermill": given}), tmp_path / "run.ipynb")
    reference._copy_chapter(tmp_path / "run.ipynb", tmp_path / "committed.ipynb")
    committed = nbformat.read(tmp_path / "committed.ipynb", 4)
    assert [one.source for one in committed.cells] == ['scale = "smoke"\nseed = 2\ntrain = False']
    assert set(committed.metadata["papermill"]) == {"parameters"}
