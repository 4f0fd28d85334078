"""The bases of chapter 13: scales beside a study's own, which are read where they have been computed, never made."""

from pathlib import Path

from studylib.analysis.dial import BASES, COMBINATIONS, OWN, PARENTS, Base
from studylib.engine.models import base_name
from studylib.params.load import load_params
from studylib.paths import params_dir, reference_root
from studylib.study.notebook import Study

ARMS = (*PARENTS, *COMBINATIONS)
SEED_OF_OTHER = 2  # what the other base of dose 0 is built from


def bases(study: Study) -> dict[str, Study]:
    """The study itself, and one of every other base of the dial that has results, each by the base's name.

    Of a base that is left out it says why, and what computes it.
    """
    readable, candidates = {OWN: study}, others(study)
    for base in BASES[1:]:
        scale = study.scale + base.suffix
        if base.name in candidates and (other := _with_results(candidates[base.name])):
            readable[base.name] = other
        elif _has_params(scale):
            print(f"{base.name} is left out: runs/ and outputs/ lack results of {scale}. {_how(scale, base)}")
        else:
            print(f"{base.name} is left out: there is no params/{scale}.yaml.")
    return readable


def others(study: Study) -> dict[str, Study]:
    """Every other base of the dial that has params and a model, with results or without."""
    scales = {base.name: study.scale + base.suffix for base in BASES[1:]}
    ready = {name: scale for name, scale in scales.items() if _has_params(scale) and _has_model(scale)}
    return {name: Study(scale, load_params(scale).seeds[0], study.train) for name, scale in ready.items()}


def without_chapters(scale: str) -> bool:
    """True of a scale that chapter 13 of another one reads: it has too few arms for chapters of its own."""
    return any(base.suffix and scale.endswith(base.suffix) for base in BASES)


def _with_results(study: Study) -> Study | None:
    """The study as computed here or as committed, whichever it would itself read first; None where neither is whole."""
    here, reference = (Study(study.scale, study.seed, train) for train in (True, False))
    complete = all(here.has(name) for name in here.plan)
    published = (reference_root(study.scale) / f"plan.s{study.seed}.txt").exists()
    order = [(here, complete), (reference, published)][:: 1 if study.train else -1]
    return next((one for one, whole in order if whole), None)


def _has_params(scale: str) -> bool:
    return (params_dir() / f"{scale}.yaml").exists()


def _has_model(scale: str) -> bool:
    return isinstance(base_name(load_params(scale)), Path)


def _how(scale: str, base: Base) -> str:
    """The commands that compute a scale, its base first where that is not there."""
    params = load_params(scale)
    runs = " && ".join(f"make stages SCALE={scale} SEED={seed}" for seed in params.seeds)
    if _has_model(scale):
        return f"They are computed by `{runs}`."
    seed = SEED_OF_OTHER if base is BASES[-1] else 1
    build = f".venv/bin/python -m models.build.build {params.model.path} --seed {seed} --dose {base.dose / 100:g}"
    return f"They are computed by `{runs}`, once there is a base: `{build}`."
