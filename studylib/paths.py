"""Where things are: the checkout, its params, what is computed, what is committed."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def params_dir() -> Path:
    """Where the params files are: `params/`, or a folder `params` in the one that STUDY_RUNS names."""
    own = _runs() / "params"
    return own if own.exists() else ROOT / "params"


def runs_root(scale: str) -> Path:
    """What is computed of a scale: in `runs/`, or in the folder that STUDY_RUNS names."""
    return _runs() / scale


def _runs() -> Path:
    return Path(os.environ.get("STUDY_RUNS") or ROOT / "runs").resolve()


def reference_root(scale: str) -> Path:
    return ROOT / "outputs" / scale
