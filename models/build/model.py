"""The mini base's architecture: Qwen2.5-VL in miniature, with a tokenizer and processor of its own.

Same classes, chat template and special tokens as Qwen2.5-VL-7B-Instruct; 112 px pictures give 16 image tokens.
"""

from __future__ import annotations

from collections.abc import Iterable

PIXELS = 112
PATCH = 28
SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip
THINK = ["<think>", "</think>", "\\boxed{"]
LETTERS = [" (A)", " (B)", " (C)", " (D)"]  # whole, so that an option's letter is the token after its last digit
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int):
    """Byte-level BPE in which every digit is a token of its own (as in Qwen), with or without a space before it."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    pattern = Regex(r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]|\s+")
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=SPECIAL, initial_alphabet=alphabet)
    raw.train_from_iterator(texts, trainer)
    raw.add_tokens([AddedToken(token, normalized=False) for token in THINK + LETTERS])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL[1:],
        model_max_length=2048,
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def build_processor(tokenizer):
    """Qwen2.5-VL's processor around the mini tokenizer; every picture becomes 112 x 112 pixels or the like."""
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    size = {"shortest_edge": PIXELS * PIXELS, "longest_edge": PIXELS * PIXELS}
    image = Qwen2VLImageProcessor(size=size, patch_size=14, merge_size=2, temporal_patch_size=2)
    video = Qwen2VLVideoProcessor(size=size, patch_size=14, merge_size=2, temporal_patch_size=2)
    return Qwen2_5_VLProcessor(
        image_processor=image, tokenizer=tokenizer, video_processor=video, chat_template=CHAT_TEMPLATE
    )


def _tower(hidden: int, vision: int, vision_layers: int) -> dict:
    return dict(
        depth=vision_layers,
        hidden_size=vision,
        num_heads=4,
        intermediate_size=vision * 2,
        out_hidden_size=hidden,
        patch_size=14,
        spatial_merge_size=2,
        temporal_patch_size=2,
        window_size=PIXELS,
        fullatt_block_indexes=list(range(vision_layers)),
    )


def tower_of(hidden: int = 192, vision: int = 128, vision_layers: int = 3):
    """A new vision tower of the mini base."""
    from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

    return Qwen2_5_VisionTransformerPretrainedModel(Qwen2_5_VLVisionConfig(**_tower(hidden, vision, vision_layers)))


def mini_config(tokenizer, hidden: int = 192, layers: int = 4, vision: int = 128, vision_layers: int = 3):
    """The configuration of the mini base; `mrope_section` splits the head as Qwen2.5-VL does (1 : 1.5 : 1.5)."""
    from transformers import Qwen2_5_VLConfig

    heads = 4
    quarter = hidden // heads // 8
    token = tokenizer.convert_tokens_to_ids
    text = dict(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=2,
        intermediate_size=hidden * 8 // 3,
        max_position_embeddings=2048,
        rope_parameters=dict(
            rope_type="default",
            rope_theta=10000.0,
            mrope_section=[quarter, quarter * 3 // 2, quarter * 3 // 2],
        ),
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=_tower(hidden, vision, vision_layers),
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
