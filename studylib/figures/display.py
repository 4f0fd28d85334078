"""Putting a figure into a notebook so that JupyterLab, the static book and a code host all show it."""

import base64
import io
import json
import shutil
import warnings

import kaleido
import plotly.graph_objects as go
from IPython.display import display
from PIL import Image

CONFIG = {"responsive": True, "displayModeBar": False}  # its buttons would cover the title
PNG_WIDTH = 420  # so that a phone shows the text of the picture as large as it was drawn

# It would print this machine's paths into the notebook: kaleido's options are those of its server.
warnings.filterwarnings("ignore", message="The kopts argument is ignored")


def show(fig: go.Figure, div_id: str, picture: bool = True) -> None:
    """Emit plotly JSON, html that needs a plotly.js of the page's own, and a PNG where a Chrome is found.

    picture: False where committed results are only read again, whose chapters hold the PNGs: then no Chrome is started.
    div_id: stable and unique in the notebook, so that a second run gives the same output; on a page that has headings
    with ids of their own, "figure-" stands before it.
    """
    bundle = {
        "application/vnd.plotly.v1+json": {**json.loads(fig.to_json()), "config": CONFIG},
        "text/html": fig.to_html(full_html=False, include_plotlyjs=False, div_id=f"figure-{div_id}", config=CONFIG),
    }
    drawn = png(fig, PNG_WIDTH) if picture else None
    if drawn is not None:
        bundle["image/png"] = base64.b64encode(drawn).decode()
    display(bundle, raw=True)


def png(fig: go.Figure, width: int) -> bytes | None:
    """The figure as PNG, or None where there is no Chrome for kaleido to draw it with."""
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "chrome")):
        return None
    try:
        kaleido.start_sync_server(silence_warnings=True)  # one Chrome for all figures of a notebook
        picture = fig.to_image(format="png", width=width, height=fig.layout.height, scale=1.75)
    except Exception:  # a Chrome that does not start must not cost the reader the figure itself
        return None
    return _few_colours(picture)


def _few_colours(picture: bytes) -> bytes:
    """The same picture in a palette of 128 colours: a third of the bytes in the notebook."""
    small = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(128).save(small, format="PNG", optimize=True)
    return small.getvalue()
