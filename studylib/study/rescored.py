"""The authors' released checkpoints, re-scored: each is the base of a study of its own, asked with the instruction."""

import pandas as pd

from studylib.analysis import difficulty, length, style
from studylib.analysis.printed import level_agreement
from studylib.engine.models import model_folder
from studylib.paths import reference_root
from studylib.study.notebook import Study

CHAPTER = "12_released_checkpoints"
TABLES = ("accuracy", "gains", "lengths", "words", "level_agreement")


def rescored(study: Study) -> dict[str, pd.DataFrame] | None:
    """The tables of chapter 12 by name (TABLES), None where there are none.

    The params name the checkpoints (`released`); without any there is nothing to re-score. A study that only reads
    has the tables that someone has committed. Raises StudyError where a checkpoint is not pinned or cannot be had.
    """
    if not study.train:
        folder = reference_root(study.scale) / "tables" / CHAPTER
        paths = {name: folder / f"{name}.csv" for name in TABLES}
        return {name: pd.read_csv(path) for name, path in paths.items()} if paths["accuracy"].exists() else None
    return _measured(study) if study.params.released else None


def _measured(study: Study) -> dict[str, pd.DataFrame]:
    folders = {arm: model_folder(model, f"released.{arm}") for arm, model in study.params.released.items()}
    study.run("levels", "base.grades", "base_a.grades")
    trained = pd.concat([_scores(study, arm, str(folder)) for arm, folder in folders.items()])
    base_a, base = study.scores("base_a"), study.scores("base")
    scores, tagged = pd.concat([base, trained]), study.levels()
    published = study.table("questions.test").set_index("id")["level"]
    levels = tagged
    if tagged["question_id"].map(published).isin(difficulty.LEVELS).all():
        levels = tagged.assign(level=tagged["question_id"].map(published))
    return {
        "accuracy": difficulty.accuracy(scores),
        "gains": difficulty.gains(trained, base_a, base, levels),
        "lengths": length.response_length(scores, levels),
        "words": style.word_counts(style.of_table_5(scores)),
        "level_agreement": level_agreement(tagged, published).reset_index(),
    }


def _scores(study: Study, arm: str, folder: str) -> pd.DataFrame:
    """Test responses of one checkpoint, as those of `base_instructed` of a study with it for a base."""
    overrides = {**study.overrides, "model.path": folder, "model.revision": None}
    return Study(study.scale, study.seed, True, overrides).scores("base_instructed").assign(arm=arm)
