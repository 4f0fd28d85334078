"""Building the base: its fast paths feed the model exactly what its processor would."""

import random

import pytest
import torch

from models.build import diet
from models.build.build import Batches, corpus, forward_loss, micro_batches
from models.build.model import PIXELS, build_processor, mini_config, train_tokenizer
from models.build.tower import pixels


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(corpus(60, seed=0), 600)


@pytest.fixture(scope="module")
def model(tokenizer):
    from transformers import Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(0)
    return Qwen2_5_VLForConditionalGeneration(mini_config(tokenizer, hidden=64, layers=1, vision=32, vision_layers=1))


@pytest.fixture
def batches(tokenizer, model):
    return lambda seed, size, **more: Batches(tokenizer, model.model.visual, seed, batch=size, **more)


def test_patches_equal_those_of_the_image_processor(tokenizer):
    rng = random.Random(0)
    images = [image for _, image in (diet.Pictures(rng).task() for _ in range(5))]
    theirs = build_processor(tokenizer).image_processor(images, return_tensors="pt")
    torch.testing.assert_close(pixels(images), theirs["pixel_values"], atol=1e-5, rtol=0)


def test_batches_hold_the_ids_and_positions_of_a_chat_rendered_by_the_processor(tokenizer, model, batches):
    processor, pool = build_processor(tokenizer), batches(3, 1)
    pool.at(0)
    for [example] in pool.pool[1][:6]:
        batch = pool.collate([example])
        content = [{"type": "image"}] if example[0] else []
        question = tokenizer.decode(example[1]).split("<|vision_end|>")[-1].removeprefix("<|im_start|>user\n")
        content.append({"type": "text", "text": question.split("<|im_end|>")[0]})
        chat = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        shown = processor(text=[chat], images=[example[0]] if example[0] else None, return_tensors="pt")
        assert shown["input_ids"][0].tolist() == example[1]
        ids = batch["ids"]
        pictures = (ids == model.config.image_token_id).long()
        grid = torch.tensor([[1, PIXELS // 14, PIXELS // 14]]) if example[0] else None
        positions, _ = model.model.get_rope_index(ids, mm_token_type_ids=pictures, image_grid_thw=grid)
        assert torch.equal(positions, batch["positions"])


def test_the_loss_equals_that_of_the_whole_model_on_the_same_batch(model, batches):
    pool = batches(5, 4)
    pool.at(0)
    examples = next(batch for batch in pool.pool[1] if sum(image is not None for image, _, _ in batch) > 1)
    batch, images = pool.collate(examples), [image for image, _, _ in examples if image]
    theirs = model(
        input_ids=batch["ids"],
        attention_mask=torch.ones_like(batch["ids"]),
        labels=batch["labels"],
        pixel_values=pixels(images),
        image_grid_thw=torch.tensor([[1, 8, 8]] * len(images)),
        mm_token_type_ids=(batch["ids"] == model.config.image_token_id).long(),
    ).loss
    batch["weights"] = (batch["labels"] >= 0).float()
    ours = forward_loss(model, batch, model.config.image_token_id) / batch["weights"].sum()
    torch.testing.assert_close(ours, theirs, atol=3e-2, rtol=1e-2)


def test_micro_batches_add_up_to_the_loss_of_the_whole_batch(model, batches):
    batch, image_token = batches(5, 10).at(0), model.config.image_token_id
    whole = forward_loss(model, batch, image_token)
    parts = list(micro_batches(batch, 4, image_token))
    assert [len(part["ids"]) for part in parts] == [4, 4, 2]
    together = sum(forward_loss(model, part, image_token) for part in parts)
    torch.testing.assert_close(together, whole, atol=3e-2, rtol=1e-2)


def test_a_token_weighs_by_the_square_root_of_the_length_of_its_response(batches):
    batch = batches(5, 10).at(0)
    lengths = (batch["labels"] >= 0).sum(1)
    torch.testing.assert_close(batch["weights"].sum(1), lengths.float() ** 0.5)


def test_batches_are_the_same_wherever_one_begins(batches):
    whole, later = batches(7, 2), batches(7, 2)
    ids = [whole.at(step)["ids"] for step in range(25)]
    assert torch.equal(later.at(24)["ids"], ids[24]) and torch.equal(later.at(3)["ids"], ids[3])


def test_processes_meet_other_examples_in_batches_of_like_length(batches):
    one, two = batches(7, 8), batches(7, 8, rank=1)
    lengths = [(one.at(step)["ids"].shape[1], two.at(step)["ids"].shape[1]) for step in range(20)]
    assert not torch.equal(one.at(0)["ids"], two.at(0)["ids"])
    assert sum(max(pair) for pair in lengths) < 1.2 * sum(a for a, _ in lengths)


@pytest.mark.parametrize("dose", [0.0, 0.5])
def test_no_example_is_worked_out_the_long_way_but_by_the_dose(dose):
    pictures, long = diet.Pictures(random.Random(11)), 0
    for _ in range(1500):
        response = diet.example(pictures, dose).response
        long += "So it is" in response and "That gives" in response
    assert (long > 0) == (dose > 0)
