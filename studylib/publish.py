"""A model's folder on its way to the hub: looked through for secrets, private, and only when told to."""

import os
import re
from pathlib import Path

from studylib.errors import StudyError

READ = {".json", ".jsonl", ".md", ".txt", ".jinja"}  # files that could hold a secret


def push(folder: Path, repo: str) -> str:
    """Sends a folder to the hub as a private model, with the login or HF_TOKEN of this machine; gives its address.

    Raises StudyError, which never holds the token, where a file holds what looks like a secret or the hub refuses.
    """
    refuse_secrets(folder)
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    api = HfApi()
    try:
        api.create_repo(repo, private=True, exist_ok=True)
        return api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message="Weights, card and manifests"
        ).repo_url
    except (HfHubHTTPError, LocalTokenNotFoundError, OSError, ValueError) as error:
        said = _without_secrets((str(error).strip() or type(error).__name__).splitlines()[0])
        raise StudyError(
            f"{repo} could not be published ({said}): log in with `hf auth login`, and check the name."
        ) from None


def refuse_secrets(folder: Path) -> None:
    """Raises StudyError naming the first text file that holds a token."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.suffix in READ:
            text = file.read_text(errors="replace")
            if _without_secrets(text) != text:
                raise StudyError(f"{file} holds what looks like an access token: nothing was sent; take it out first.")


def _without_secrets(text: str) -> str:
    known = [value for key in ("HF_TOKEN", "JUDGE_API_KEY") if len(value := os.environ.get(key, "")) > 7]
    return re.sub("|".join([r"\bhf_[A-Za-z0-9]{20,}", *map(re.escape, known)]), "***", text)
