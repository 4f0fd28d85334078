"""Questions and traces, of the mini world or of published datasets."""

from studylib.params.load import Params
from studylib.store.files import save_rows
from studylib.store.store import Work


def questions(work: Work, params: Params) -> None:
    """The questions of one split: `rows/` with pictures, `questions.parquet` without."""
    from studylib.data.mini import load_questions

    save_rows(load_questions(params, work.stage.params["split"]), work.path)


def traces(work: Work, params: Params) -> None:
    """Text-only questions with one teacher's traces (paper 2.1: s1 and s1.1-R1)."""
    from studylib.data.mini import load_traces

    save_rows(load_traces(params, work.stage.params["manner"]), work.path)


def hub_questions(work: Work, params: Params) -> None:
    """The questions of one split of published datasets, as `questions` leaves them; unreadable rows are facts."""
    from studylib.data.hub import load_questions

    rows, facts = load_questions(params, work.stage.params["split"])
    save_rows(rows, work.path)
    work.facts |= {"rows": len(rows), **facts}


def hub_traces(work: Work, params: Params) -> None:
    """The published traces, s1 or s1.1 (paper 2.1)."""
    from studylib.data.hub import load_traces

    rows, facts = load_traces(params, work.stage.params["manner"])
    save_rows(rows, work.path)
    work.facts |= {"rows": len(rows), **facts}
