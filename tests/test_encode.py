"""Rows become tensors as the processor would make them, without holding the pictures."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, List, Value
from datasets import Image as Picture
from PIL import Image

from studylib.data.rows import column, picture_sizes, without_pictures
from studylib.engine.models import freeze_vision, load_model, load_processor
from studylib.engine.prompts import encode
from studylib.train import encode as encoding
from studylib.train.encode import Prompts

SIZES = [(), ((112, 112),), ((60, 200), (333, 41)), ((28, 28),), ((640, 480),)]  # width, height


def jpeg(width: int, height: int, turned: bool = False) -> bytes:
    pixels = np.random.default_rng(width * height).integers(0, 255, (height, width, 3), dtype=np.uint8)
    picture, file = Image.fromarray(pixels), io.BytesIO()
    exif = Image.Exif()
    if turned:
        exif[0x0112] = 6
    picture.save(file, "JPEG", exif=exif)
    return file.getvalue()


def dataset(sizes, **kept) -> Dataset:
    rows = [
        {"question": "how many red digits", "images": [{"bytes": jpeg(*size, **kept), "path": None} for size in some]}
        for some in sizes
    ]
    return Dataset.from_list(rows, features=Features({"question": Value("string"), "images": List(Picture())}))


@pytest.fixture
def model(tiny_base):
    found = load_model(tiny_base)
    freeze_vision(found)
    return found


@pytest.mark.parametrize("held", [list, Dataset])
@pytest.mark.parametrize("pixels", [None, 40_000])
def test_prompts_are_those_of_the_processor_whatever_the_size_of_a_picture(tiny_base, model, held, pixels):
    processor, rows = load_processor(tiny_base), dataset(SIZES)
    if pixels:
        processor.image_processor.size["longest_edge"] = pixels
    prompts = Prompts(model, processor, list(rows) if held is list else rows)
    for i, row in enumerate(rows):
        expected = encode(processor, [row], True)
        assert torch.equal(prompts[i].ids, expected["input_ids"][0])
        grid = expected.get("image_grid_thw")
        places, _ = model.model.get_rope_index(expected["input_ids"], expected["mm_token_type_ids"], grid)
        assert torch.equal(prompts[i].positions, places[:, 0])
        if grid is not None:
            seen = model.model.visual(expected["pixel_values"], grid_thw=grid, return_dict=True).pooler_output
            torch.testing.assert_close(prompts.features([i])["image_features"], seen, rtol=1e-4, atol=1e-5)
    assert prompts.lengths == [len(prompts[i].ids) for i in range(len(rows))]


def test_a_picture_that_was_photographed_lying_has_the_size_that_it_is_shown_in():
    rows = dataset([((200, 60),)], turned=True)
    assert picture_sizes(rows) == [[rows[0]["images"][0].size[::-1]]] == [[(200, 60)]]


def test_pictures_are_decoded_for_their_features_and_for_nothing_else(tiny_base, model, monkeypatch):
    decoded = []
    original = Picture.decode_example
    monkeypatch.setattr(Picture, "decode_example", lambda *a, **k: decoded.append(1) or original(*a, **k))
    rows = dataset([((112, 112),)] * 6)
    prompts = Prompts(model, load_processor(tiny_base), rows)
    assert len(prompts[5].ids) > 16 and len(prompts.lengths) == 6
    assert without_pictures(rows)[3] == {"question": "how many red digits"}
    assert column(rows, "trace") == [None] * 6 and not decoded
    prompts.features([2, 4])
    twice = len(decoded)
    assert 2 <= twice <= 4  # datasets decodes the first picture of a list twice
    prompts.features([4, 2])
    assert len(decoded) == twice  # kept


def test_features_used_last_are_kept(tiny_base, model, monkeypatch):
    prompts = Prompts(model, load_processor(tiny_base), dataset([((112, 112),)] * 4))
    one = prompts.features([0])["image_features"]
    monkeypatch.setattr(encoding, "CACHE_BYTES", 2 * one.nbytes)
    for i in (1, 0, 2):
        prompts.features([i])
    assert sorted(prompts._features) == [0, 2]
    torch.testing.assert_close(prompts.features([0, 1, 2, 3])["image_features"][: len(one)], one)
    assert len(prompts._features) == 2


def test_the_tower_of_a_gpu_is_a_copy_in_bfloat16(model, monkeypatch):
    """The device is a stand-in, torch's own "meta", with nothing to reckon on it."""
    real, own = torch.nn.Module.to, model.model.visual
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, device, dtype: real(self, {"cuda": "meta"}[device], dtype))
    tower = encoding._own_tower(own)
    assert (tower.device.type, tower.dtype) == ("meta", torch.bfloat16)
    assert (own.device.type, own.dtype) == ("cpu", torch.float32)


def test_the_memory_of_a_process_does_not_grow_with_the_pictures(tiny_base, model, tmp_path):
    """Anonymous memory, in which decoded pictures are; the file that rows are read from is the system's to drop."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("memory is read from /proc")

    def anonymous() -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("RssAnon"))

    rows = dataset([((800, 600),)] * 4)
    held = rows.with_format("arrow")[0:4]["images"].to_pylist()
    many = [{"question": f"how many {n}", "images": held[n % 4]} for n in range(400)]
    Dataset.from_list(many, features=rows.features).save_to_disk(tmp_path)
    del many
    before = anonymous()
    prompts = Prompts(model, load_processor(tiny_base), Dataset.load_from_disk(str(tmp_path)))
    assert len(prompts.lengths) == 400
    assert anonymous() - before < 100_000  # KiB; decoded they are 560 MiB
