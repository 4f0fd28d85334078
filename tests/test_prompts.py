from studylib.engine.models import load_processor
from studylib.engine.prompts import INSTRUCTION, encode, messages, prompt_hash, render


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
