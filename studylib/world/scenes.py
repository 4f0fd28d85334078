"""Scenes: what a mini-world picture shows, how it is put in words, and how it is drawn.

A scene lives on a 4 x 4 grid of 28 px cells, so that a cell is one image token of the model. `cells` maps a cell
(0..15, row by row) to `[colour, glyph, number]`; `bars`, one per column, span several cells.
The picture is a pure function of the scene: its `style` seeds fonts, shades and positions.
"""

from __future__ import annotations

import math
import random
from functools import lru_cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

GRID, CELL = 4, 28
SIZE = GRID * CELL
COLOURS = {
    "red": (205, 45, 40), "blue": (40, 85, 205), "green": (30, 140, 65), "orange": (225, 120, 20),
    "purple": (125, 60, 165), "black": (35, 35, 35), "left": (70, 80, 115), "right": (115, 80, 60),
}  # fmt: skip
PAINTS = ["red", "blue", "green", "orange", "purple"]
SHAPES = ["circle", "square", "triangle", "star"]
Scene = dict[str, Any]


@lru_cache(maxsize=64)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    from font_fredoka_one import FredokaOne
    from font_roboto import RobotoBold, RobotoMedium
    from font_source_sans_pro import SourceSansProBold
    from font_source_serif_pro import SourceSerifProBold

    files = dict(
        fredoka=FredokaOne,
        bold=RobotoBold,
        medium=RobotoMedium,
        sans=SourceSansProBold,
        serif=SourceSerifProBold,
    )
    return ImageFont.truetype(files[name], size)


FONTS = ["fredoka", "bold", "medium", "sans", "serif"]


def item(cell: list) -> str:
    """A cell in words: `red 3`, `45`, `red circle`, `red` (a swatch), `x` (the unknown)."""
    colour, glyph, number = cell
    if glyph == "digit":
        return f"{colour} {number}"
    if glyph in SHAPES:
        return f"{colour} {glyph}"
    if glyph == "swatch":
        return colour
    if glyph == "weight":
        return f"{colour} {number}"
    return "x" if glyph == "x" else str(number)


def lines(scene: Scene) -> list[tuple[str, list[str]]]:
    """The scene in words, line by line, in reading order: `("row 1", ["red 3", "blue 4"])`."""
    if "bars" in scene:
        noun = "tube" if scene["figure"] == "tubes" else "bar"
        return [(f"{noun} {i + 1}", [f"{colour} {height}"]) for i, (colour, height) in enumerate(scene["bars"])]
    rows = []
    for row in range(GRID):
        cells = [scene["cells"].get(str(row * GRID + column)) for column in range(GRID)]
        rows.append((f"row {row + 1}", [item(cell) for cell in cells if cell]))
    return rows


def reading(label: str, items: list[str]) -> str:
    return f"{label}: {' '.join(items) if items else 'none'}."


def _shade(rng: random.Random, colour: str) -> tuple[int, int, int]:
    return tuple(max(0, min(255, c + rng.randint(-18, 18))) for c in COLOURS[colour])


def _centre(rng: random.Random, cell: int, jitter: int) -> tuple[int, int]:
    x, y = cell % GRID * CELL + CELL // 2, cell // GRID * CELL + CELL // 2
    return x + rng.randint(-jitter, jitter), y + rng.randint(-jitter, jitter)


def _write(draw, xy, text: str, font, fill, box=None) -> None:
    left, top, right, bottom = draw.textbbox(xy, text, font=font, anchor="mm")
    if box:
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=box)
    draw.text(xy, text, font=font, fill=fill, anchor="mm")


def _shape(draw, glyph: str, x: int, y: int, r: int, fill) -> None:
    if glyph == "circle":
        draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
    elif glyph == "square":
        draw.rectangle((x - r + 1, y - r + 1, x + r - 1, y + r - 1), fill=fill)
    elif glyph == "triangle":
        draw.polygon([(x, y - r), (x - r, y + r - 1), (x + r, y + r - 1)], fill=fill)
    else:
        spokes = [(r if i % 2 == 0 else r * 0.42, math.pi * (i / 5 - 0.5)) for i in range(10)]
        draw.polygon([(x + s * math.cos(a), y + s * math.sin(a)) for s, a in spokes], fill=fill)


def _draw_bars(draw, rng: random.Random, scene: Scene) -> None:
    foot, unit = SIZE - 6, 11
    for height in range(1, 10):
        shade = 150 if height == 5 else 222
        draw.line((2, foot - height * unit, SIZE - 2, foot - height * unit), fill=(shade, shade, shade))
    draw.line((2, foot, SIZE - 2, foot), fill=(60, 60, 60), width=2)
    tube, width = scene["figure"] == "tubes", rng.randint(6, 9)
    for i, (colour, value) in enumerate(scene["bars"]):
        x, top = i * CELL + CELL // 2 + rng.randint(-2, 2), foot - (value // 10 if tube else value) * unit
        if tube:
            draw.rounded_rectangle((x - 5, 2, x + 5, foot - 1), 5, outline=(90, 90, 90), fill=(250, 250, 250))
            draw.rectangle((x - 3, top, x + 3, foot - 2), fill=_shade(rng, colour))
        else:
            draw.rectangle((x - width, top, x + width, foot - 1), fill=_shade(rng, colour))


def _draw_backdrop(draw, rng: random.Random, scene: Scene) -> None:
    ink = (120, 120, 120)
    if scene["figure"] == "table" or (scene["figure"] == "grid" and rng.random() < 0.5):
        for k in range(1, GRID):
            draw.line((0, k * CELL, SIZE, k * CELL), fill=(215, 215, 215))
            draw.line((k * CELL, 0, k * CELL, SIZE), fill=(215, 215, 215))
    if scene["figure"] == "scales":
        draw.line((SIZE // 2, 6, SIZE // 2, SIZE - 4), fill=ink, width=2)
        draw.line((8, SIZE - 3, SIZE - 8, SIZE - 3), fill=ink, width=2)
    for start, end in scene.get("strokes", []):
        draw.line((*start, *end), fill=(45, 45, 45), width=2)


def draw(scene: Scene) -> Image.Image:
    """The picture of a scene, 112 x 112 RGB."""
    rng = random.Random(scene["style"])
    paper = tuple(rng.randint(243, 255) for _ in range(3))
    image = Image.new("RGB", (SIZE, SIZE), paper)
    canvas = ImageDraw.Draw(image)
    name = rng.choice(FONTS)
    if "bars" in scene:
        _draw_bars(canvas, rng, scene)
    else:
        _draw_backdrop(canvas, rng, scene)
    for cell, (colour, glyph, number) in scene["cells"].items():
        x, y = _centre(rng, int(cell), 3 if glyph in ("digit", "label", "x") else 1)
        fill = _shade(rng, colour)
        if glyph in SHAPES:
            _shape(canvas, glyph, x, y, rng.randint(8, 10), fill)
        elif glyph == "swatch":
            canvas.rectangle((x - 9, y - 9, x + 9, y + 9), fill=fill)
        elif glyph == "coin":
            r = rng.randint(10, 12)
            rim = (190, 150, 60) if number < 10 else (150, 150, 155)
            canvas.ellipse((x - r, y - r, x + r, y + r), fill=(235, 205, 110) if number < 10 else (212, 212, 218))
            canvas.ellipse((x - r, y - r, x + r, y + r), outline=rim, width=2)
            _write(canvas, (x, y), str(number), _font(name, 14), (50, 40, 20))
        elif glyph == "weight":
            canvas.polygon([(x - 8, y - 11), (x + 8, y - 11), (x + 12, y + 11), (x - 12, y + 11)], fill=fill)
            _write(canvas, (x, y), str(number), _font(name, 17), (255, 255, 255))
        else:
            size = rng.randint(19, 23) if glyph == "digit" else rng.randint(14, 16)
            text = "x" if glyph == "x" else str(number)
            _write(canvas, (x, y), text, _font(name, size), fill, box=paper if scene.get("strokes") else None)
    return image
