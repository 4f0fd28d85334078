import json
import shutil

import numpy as np
import pytest
from PIL import Image

from studylib.engine.models import load_processor, model_folder
from studylib.engine.prompts import INSTRUCTION, encode, messages, on_white, prompt_hash, render
from studylib.params.schema import Model


def test_pictures_come_first_and_the_instruction_is_a_line_of_its_own(tiny_rows):
    row = tiny_rows[2]
    (message,) = messages(row, instruct=True)
    assert [part["type"] for part in message["content"]] == ["image", "image", "text"]
    assert message["content"][-1]["text"] == f"{row['question']}\n{INSTRUCTION}"
    assert messages(row, instruct=False)[0]["content"][-1]["text"] == row["question"]


def test_a_batch_is_padded_on_the_left_and_holds_sixteen_tokens_a_picture(tiny_base, tiny_rows):
    processor = load_processor(tiny_base)
    batch = encode(processor, tiny_rows, instruct=True)
    pictures = [len(row["images"]) for row in tiny_rows]
    assert (batch["input_ids"] == processor.image_token_id).sum(1).tolist() == [16 * n for n in pictures]
    assert len(batch["image_grid_thw"]) == sum(pictures)
    assert batch["attention_mask"][:, -1].all() and not batch["attention_mask"][:, 0].all()
    for row, ids, mask in zip(tiny_rows, batch["input_ids"], batch["attention_mask"], strict=True):
        alone = encode(processor, [row], instruct=True)
        assert ids[mask.bool()].tolist() == alone["input_ids"][0].tolist()
        assert ("pixel_values" in alone) == bool(row["images"])


def test_the_prompt_ends_where_the_answer_begins(tiny_base, tiny_rows):
    prompt = render(load_processor(tiny_base), tiny_rows[0], instruct=False)
    assert prompt.endswith("<|im_start|>assistant\n")
    assert prompt.count("<|image_pad|>") == 1


def test_the_prompt_hash_moves_with_text_instruction_and_every_pixel(tiny_base, tiny_rows):
    processor, row = load_processor(tiny_base), tiny_rows[0]
    repainted = row["images"][0].copy()
    repainted.putpixel((5, 5), (0, 0, 0))
    others = [
        prompt_hash(processor, row, instruct=False),
        prompt_hash(processor, row | {"question": row["question"] + " "}, instruct=True),
        prompt_hash(processor, row | {"images": [repainted]}, instruct=True),
        prompt_hash(processor, row | {"images": []}, instruct=True),
    ]
    same = prompt_hash(processor, row | {"images": [row["images"][0].copy()]}, instruct=True)
    assert same == prompt_hash(processor, row, instruct=True)
    assert len({same, *others}) == 5


def ink(mode: str) -> Image.Image:
    """A black dot at (0, 0) on nothing."""
    picture = Image.new("RGBA", (3, 2), (0, 0, 0, 0))
    picture.putpixel((0, 0), (0, 0, 0, 255))
    if mode == "P":
        picture = Image.frombytes("P", (3, 2), bytes([1, 0, 0, 0, 0, 0]))
        picture.putpalette([0, 0, 0] * 2)
        picture.info["transparency"] = 0
    return picture if mode == "P" else picture.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_black_ink_on_transparency_is_black_on_white(mode):
    shown = on_white(ink(mode))
    assert shown.mode == "RGB"
    assert (shown.getpixel((0, 0)), shown.getpixel((2, 1))) == ((0, 0, 0), (255, 255, 255))


def test_half_transparent_is_half_white_and_opaque_pictures_stay():
    assert on_white(Image.new("RGBA", (1, 1), (0, 0, 0, 128))).getpixel((0, 0)) == (127, 127, 127)
    picture = Image.new("RGB", (2, 2), (1, 2, 3))
    assert on_white(picture).tobytes() == picture.tobytes()


def test_sixteen_bits_a_value_are_scaled_and_not_cut():
    grey = Image.fromarray(np.array([[0, 257 * 100, 65535]], dtype=np.uint16))
    assert grey.mode == "I;16" and [pixel[0] for pixel in on_white(grey).getdata()] == [0, 100, 255]
    dark = Image.fromarray(np.array([[0, 100, 255]], dtype=np.uint16))  # 8 bits in a file of 16
    assert [pixel[0] for pixel in on_white(dark).getdata()] == [0, 100, 255]


@pytest.mark.parametrize("old", [False, True])
def test_the_cap_is_in_the_processor_that_engines_trainers_and_checkpoints_read(old, tiny_base, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path / "runs"))
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    config = json.loads((base / "processor_config.json").read_text())
    config["image_processor"]["size"] = {"longest_edge": 28 * 28 * 100, "shortest_edge": 28 * 28}
    (base / "processor_config.json").write_text(json.dumps(config))
    if old:  # as Qwen's own repositories have it
        image = config["image_processor"]
        sizes = {"min_pixels": image["size"]["shortest_edge"], "max_pixels": image.pop("size")["longest_edge"]}
        (base / "processor_config.json").unlink()
        text = json.dumps({**image, **sizes, "processor_class": "Qwen2_5_VLProcessor"})
        (base / "preprocessor_config.json").write_text(text)
    row = {"question": "what", "images": [Image.new("RGB", (400, 300))]}
    tokens = {}
    for pixels in (28 * 28 * 1280, 28 * 28 * 20):
        folder = model_folder(Model(path=str(base), dtype="float32", max_pixels=pixels), "model")
        processor = load_processor(folder)
        processor.save_pretrained(tmp_path / "checkpoint")
        shutil.copy(base / "config.json", tmp_path / "checkpoint")
        shown = [encode(load_processor(path), [row], True)["input_ids"] for path in (folder, tmp_path / "checkpoint")]
        assert shown[0].tolist() == shown[1].tolist()
        tokens[pixels] = int((shown[0] == processor.image_token_id).sum())
    assert tokens[28 * 28 * 1280] > 20 >= tokens[28 * 28 * 20] > 12
    assert folder != base and (folder / "model.safetensors").samefile(base / "model.safetensors")
    assert model_folder(Model(path=str(tiny_base), dtype="float32"), "model") == tiny_base
