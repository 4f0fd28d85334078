"""Questions as a reader meets them: picture, text, answer."""

import textwrap

import plotly.graph_objects as go

from studylib.figures.answers import data_uri
from studylib.figures.palette import dress

CAPTION_LINES = 5
COLUMNS = 2


def sample_grid(rows: list[dict]) -> go.Figure:
    """Pictures of question rows with their text and answer below; rows: data.load_questions."""
    fig = go.Figure()
    lines = -(-len(rows) // COLUMNS)
    for i, row in enumerate(rows):
        left, top = i % COLUMNS, -(i // COLUMNS) * 1.55
        if row["images"]:
            place = {"x": left + 0.5, "y": top - 0.02, "xanchor": "center", "yanchor": "top", "xref": "x", "yref": "y"}
            fig.add_layout_image(source=data_uri(row["images"][0]), sizex=0.9, sizey=0.95, **place)
        place = {"x": left + 0.5, "y": top - 1, "yanchor": "top", "xref": "x", "yref": "y"}
        fig.add_annotation(text=_caption(row), showarrow=False, align="left", **place)
    fig.update_xaxes(range=[0, COLUMNS], visible=False, fixedrange=True)
    fig.update_yaxes(range=[-lines * 1.55, 0], visible=False, fixedrange=True)
    dress(fig, "Sample questions", 270 * lines + 60)
    fig.update_annotations(font_size=10, selector=lambda note: note.name != "stamp")
    return fig.update_layout(margin={"l": 4, "r": 4, "b": 4})


def _caption(row: dict) -> str:
    shown = textwrap.wrap(" ".join(row["question"].split()), 34)
    if len(shown) > CAPTION_LINES:
        shown = [*shown[: CAPTION_LINES - 1], shown[CAPTION_LINES - 1] + " ..."]
    return "<br>".join([f"<b>{row['benchmark']}</b>", *shown, f"answer: <b>{row['answer']}</b>"])
