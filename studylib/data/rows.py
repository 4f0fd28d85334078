"""Question rows as trainers and engines read them: a picture is decoded when it is used, and no other is in memory."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

from datasets import Dataset
from PIL import ExifTags, Image

TURNED = (5, 6, 7, 8)  # orientations that lay a picture on its side; datasets turns it as it decodes it


def column(rows: Sequence[dict], name: str) -> list[Any]:
    """One value a row, None where there is none."""
    if not isinstance(rows, Dataset):
        return [row.get(name) for row in rows]
    return rows[name][:] if name in rows.column_names else [None] * len(rows)


def without_pictures(rows: Sequence[dict]) -> Sequence[dict]:
    """The same rows, from which reading one decodes nothing."""
    return rows.remove_columns("images") if isinstance(rows, Dataset) else rows


def picture_sizes(rows: Sequence[dict]) -> list[list[tuple[int, int]]]:
    """(height, width) of each row's pictures, of a Dataset's from the pictures' headers alone."""
    if not isinstance(rows, Dataset):
        return [[picture.size[::-1] for picture in row["images"]] for row in rows]
    return [[_size(held) for held in pictures or ()] for pictures in _as_held(rows)]


def _as_held(rows: Dataset) -> Iterator[list[dict] | None]:
    for part in rows.select_columns(["images"]).with_format("arrow").iter(64):
        yield from (pictures.as_py() for pictures in part["images"])


def _size(held: dict) -> tuple[int, int]:
    with Image.open(BytesIO(held["bytes"]) if held["bytes"] is not None else held["path"]) as picture:
        width, height = picture.size
        turned = picture.getexif().get(ExifTags.Base.Orientation) in TURNED
    return (width, height) if turned else (height, width)
