"""Models merged from two trained ones."""

import shutil

from studylib.engine.models import base_path
from studylib.params.load import Params
from studylib.params.schema import Merging
from studylib.store.files import model_of
from studylib.store.store import Work


def merging(work: Work, params: Params) -> None:
    """A model a method and SFT share, such as `linear-0.25`, of the parents' chosen checkpoints (paper 3)."""
    from studylib.train.merging import merge

    wanted = Merging(**work.stage.params["merging"])
    parents = {
        role: model_of({"model": work.inputs[role], "select": work.inputs[f"{role}_select"]}, params)
        for role in ("sft", "rl")
    }
    grid = {f"{method}-{share:g}": (method, share) for method in wanted.methods for share in wanted.shares}
    for cut_off in work.path.glob("writing*"):
        shutil.rmtree(cut_off)
    for done, (name, (method, share)) in enumerate(grid.items(), 1):
        if not (work.path / name).exists():
            out = work.path / "writing"
            counts = merge(
                parents["sft"],
                parents["rl"],
                base_path(params),
                out,
                method=method,
                share=share,
                density=wanted.density,
            )
            work.facts |= {f"tensors_{key}": value for key, value in counts.items()}
            out.rename(work.path / name)
        work.progress(done, len(grid), "models merged")
    work.facts |= {"checkpoints": list(grid)}
