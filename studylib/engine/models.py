"""Load models and processors; freeze, adapt, and say which tokens may never be sampled."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from studylib.engine.snapshot import snapshot
from studylib.errors import StudyError
from studylib.params.load import Params
from studylib.params.schema import Model
from studylib.paths import ROOT, runs_root


def mend_torchvision() -> None:
    """Let torchvision import beside a CPU torch that it was not built for.

    Its wheel registers `nms` in a binary that does not load there; the processors only need the ops declared.
    """
    import torch

    if torch.cuda.is_available():
        return
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        mend_torchvision.library = library  # the ops vanish with the object
        import torchvision  # noqa: F401


def _check_source(path: str | Path) -> str:
    """A folder with a saved model or a hub id `owner/name`; anything else is refused offline."""
    folder = Path(path)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise StudyError(f"{folder} holds no model (config.json is missing): rebuild or choose another folder.")
        return str(folder)
    is_hub_id = isinstance(path, str) and len(folder.parts) == 2 and not folder.parent.is_dir()
    if folder.is_absolute() or not is_hub_id:
        raise StudyError(f"No model at {folder}: the folder does not exist; run the stage that makes it first.")
    return str(path)


def load_processor(path: str | Path):
    """The AutoProcessor saved beside a model. Raises StudyError where there is none."""
    source = _check_source(path)
    mend_torchvision()
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(source)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise StudyError(f"The processor at {path} cannot be read: {first}") from error


def load_model(path: str | Path, dtype: str = "float32"):
    """An image-text-to-text model in evaluation mode, from safetensors only and without remote code.

    Raises StudyError where the folder is missing, holds no model, or its weights cannot be read.
    """
    source = _check_source(path)
    mend_torchvision()
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText

    try:
        model = AutoModelForImageTextToText.from_pretrained(source, dtype=dtype, use_safetensors=True)
    except (OSError, ValueError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0]
        raise StudyError(f"The model at {path} cannot be read: {first}") from error
    return model.eval()


def freeze_vision(model) -> None:
    """Take the vision tower and its merger (the connector) out of training, as in sections 2.1 and 2.2."""
    model.model.visual.requires_grad_(False)


def add_lora(model, lora):
    """Wrap `model` with PEFT adapters on the language model's linear layers; all else is frozen.

    `lora` is the params' section: `r`, `alpha`, `dropout`. Returns the PeftModel.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=r".*language_model\..*\.(q|k|v|o|gate|up|down)_proj",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def never_sampled(processor) -> list[int]:
    """Ids of the image, vision, video and pad tokens, sorted: a policy that emits one breaks its own update.

    The pad token stays allowed where it is also the token that ends an answer.
    """
    tokenizer = processor.tokenizer
    names = ["<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
    vocabulary = tokenizer.get_vocab()
    ids = {vocabulary[name] for name in names if name in vocabulary}
    ids |= {processor.image_token_id, processor.video_token_id}
    if tokenizer.pad_token_id != tokenizer.eos_token_id:
        ids.add(tokenizer.pad_token_id)
    return sorted(ids)


def base_name(params: Params) -> Path | str:
    """What the base model is called: a folder of the project where there is one, else its name on the hub."""
    return local_model(params.model) if local_model(params.model).is_dir() else params.model.path


def base_path(params: Params) -> Path:
    """The folder of the base model."""
    return model_folder(params.model, "model")


def model_folder(model: Model, where: str) -> Path:
    """A folder with a model: one of the project, else the pinned commit of the hub, weights in safetensors only.

    where: the key of the params that errors name. Raises StudyError where the revision can move, or it cannot be had.
    """
    local = local_model(model)
    folder = local if local.is_dir() else snapshot(model.path, model.revision, "model", where, "path")
    return _capped(folder, model.max_pixels)


def _capped(folder: Path, max_pixels: int) -> Path:
    """The folder itself where its processor shows no larger picture, else one of links to its files in which the
    processor's own has this bound: there both engines, the trainers and what they save read it."""
    changed = {}
    for name in ("preprocessor_config.json", "processor_config.json"):
        config = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
        image = config.get("image_processor", config)
        for values, key in ((image, "max_pixels"), (image.get("size") or {}, "longest_edge")):  # old name and new
            if (values.get(key) or 0) > max_pixels:
                values[key] = max_pixels
                changed[name] = json.dumps(config, indent=2)
    if not changed:
        return folder
    made = runs_root(".models") / hashlib.sha256(f"{folder.resolve()} {max_pixels}".encode()).hexdigest()[:16]
    if not made.exists():
        part = made.with_name(f"{made.name}.{os.getpid()}")
        part.mkdir(parents=True)
        for file in folder.iterdir():
            if file.name in changed:
                (part / file.name).write_text(changed[file.name])
            else:
                (part / file.name).symlink_to(file.resolve())
        try:
            part.rename(made)
        except OSError:  # another process was first
            shutil.rmtree(part)
    return made


def local_model(model: Model) -> Path:
    """Where a model is, if its path is one of the project."""
    return ROOT / Path(os.path.expandvars(model.path)).expanduser()
