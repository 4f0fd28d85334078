"""Where things are: the checkout, its params, what is computed, what is committed."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def params_dir() -> Path:
    """Where the params files are: `params/`, or the folder that STUDY_PARAMS names."""
    return Path(os.environ.get("STUDY_PARAMS") or ROOT / "params")


def runs_root(scale: str) -> Path:
    return Path(os.environ.get("STUDY_RUNS") or ROOT / "runs") / scale


def reference_root(scale: str) -> Path:
    return ROOT / "outputs" / scale
