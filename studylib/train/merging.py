"""Merging the weights of the SFT and the RL model with mergekit (paper section 3): Linear, TIES, SLERP.

mergekit does not copy the processor's files, and rounds tensors that both parents share: the processor comes with
the RL parent's files here, and a tensor that the parents share is kept as it is. So the vision tower, frozen in
both, is the base's to the bit.
"""

import shutil
from pathlib import Path
from typing import Literal

import torch
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from safetensors.torch import load_file, save_file

from studylib.errors import StudyError

Method = Literal["linear", "ties", "slerp"]


def configuration(sft: Path, rl: Path, base: str | Path, method: Method, share: float, density: float) -> dict:
    """mergekit's configuration. Linear weighs the parents, TIES their differences from the base, of which it keeps
    the `density` largest; SLERP turns from the RL model towards the SFT model."""
    parents, common = ((sft, share), (rl, 1 - share)), {"merge_method": method, "dtype": "float32"}
    if method == "slerp":
        models = [{"model": str(rl)}, {"model": str(sft)}]
        return common | {"base_model": str(rl), "models": models, "parameters": {"t": share}}
    if method == "linear":
        models = [{"model": str(path), "parameters": {"weight": weight}} for path, weight in parents]
        return common | {"models": models}
    weights = {str(path): {"weight": weight, "density": density} for path, weight in parents}
    models = [{"model": path, "parameters": parameters} for path, parameters in weights.items()]
    return common | {"base_model": str(base), "models": models}


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a saved model. Raises StudyError where there are none."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise StudyError(f"{folder} holds no safetensors: train the parent first.")
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def merge(
    sft: Path, rl: Path, base: str | Path, out: Path, *, method: Method, share: float, density: float = 0.5
) -> dict:
    """Write the merged model with its processor to `out`; `share` is the SFT model's, from 0 to 1.

    At the ends the parent itself is written, whatever the method: TIES would trim it. Returns how many tensors were
    merged and how many both parents share. Raises StudyError if a tensor is missing or of another shape.
    """
    mine, other = read_weights(sft), read_weights(rl)
    wrong = set(mine) ^ set(other) | {k for k in mine.keys() & other.keys() if mine[k].shape != other[k].shape}
    if wrong:
        raise StudyError(f"{sft} and {rl} are not of one base: they differ in the tensor {min(wrong)}.")
    shared = {name for name in mine if torch.equal(mine[name], other[name])}
    if share in (0, 1):
        merged = mine if share == 1 else other
    else:
        merged = _by_mergekit(configuration(sft, rl, base, method, share, density), out, set(mine))
    out.mkdir(parents=True, exist_ok=True)
    kept = {name: mine[name] if name in shared else merged[name].to(mine[name].dtype).contiguous() for name in mine}
    save_file(kept, out / "model.safetensors", metadata={"format": "pt"})
    for file in rl.iterdir():
        if file.suffix in (".json", ".jinja", ".txt") and not file.name.endswith(".index.json"):
            shutil.copyfile(file, out / file.name)
    return {"merged": len(mine) - len(shared), "shared": len(shared)}


def _by_mergekit(config: dict, out: Path, names: set[str]) -> dict[str, torch.Tensor]:
    work = out.with_name(out.name + ".mergekit")
    options = MergeOptions(copy_tokenizer=False, write_model_card=False, quiet=True)
    run_merge(MergeConfiguration.model_validate(config), str(work), options)
    merged = read_weights(work)
    shutil.rmtree(work)
    lost = names ^ set(merged)
    if lost:
        raise StudyError(f"mergekit lost or invented the tensor {min(lost)}: nothing was written.")
    return merged
