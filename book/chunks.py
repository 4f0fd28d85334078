"""Data of a page as scripts: a page that is opened from a folder may not fetch files, but it may load scripts.

Each hands its bytes over to static/chunks.js, gzipped, which makes three megabytes of the explorer's twenty.
"""

import base64
import gzip
import io
import json
from pathlib import Path
from typing import Any


def write_chunk(folder: Path, name: str, data: bytes) -> None:
    """A script that hands over the data, gzipped without a time so that it is the same again."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        file.write(data)
    folder.mkdir(parents=True, exist_ok=True)
    text = base64.b64encode(packed.getvalue()).decode()
    (folder / f"{name}.js").write_text(f'chunks.take("{name}", "{text}");\n')


def write_json(folder: Path, name: str, content: Any) -> None:
    write_chunk(folder, name, json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())
