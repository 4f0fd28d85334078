"""Files of the hub at a pinned commit."""

import re
from pathlib import Path

from studylib.errors import StudyError

WEIGHTS = ["*.safetensors", "*.json", "*.jinja", "*.txt"]
ROWS = ["*.parquet", "*.jsonl", "*.json", "*.jpg", "*.jpeg", "*.png", "*.webp", "*.gif", "*.bmp"]


def snapshot(name: str, revision: str | None, kind: str, where: str, key: str) -> Path:
    """The folder with the files of `owner/name` at a commit: a "model"'s weights or a "dataset"'s rows.

    where: the section of the params that errors name; key: its key that holds the name. Raises StudyError where the
    name is none, the revision can move, or the files cannot be had.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise StudyError(f"{where}.{key} is {name!r}: no folder or file here, and no owner/name of the hub.")
    from huggingface_hub import HfApi, snapshot_download

    pinned = re.fullmatch("[0-9a-f]{40}", revision or "")
    try:
        if pinned:  # what is in the cache whole is taken without a network
            wanted = WEIGHTS if kind == "model" else ROWS
            return Path(snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=wanted))
        now = HfApi().repo_info(name, repo_type=kind, revision=revision).sha
    except Exception as error:  # of the HTTP library beneath, whose errors are neither OSError nor the hub's
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StudyError(
            f"{where}: {name} at {revision} cannot be had from the hub ({reason}): check {key}, revision (the hash of "
            f"a commit) and network, or set the {key} to a folder with its files."
        ) from error
    raise StudyError(f"{where}.revision is {revision!r}, which can move: pin the commit, now {now}.")
