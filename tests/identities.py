"""Prints the identity of every stage of smoke, mini (seeds 1 to 3) and paper as JSON: python -m tests.identities.

A change that only moves code leaves all of them as they were: print them before and after, and compare. The models
of the paper are stood in for by a name and a revision, so that nothing is fetched.
"""

import json

from studylib.params.load import load_params
from studylib.study.plan import build_plan

PINNED = {"model.revision": "0" * 40}
PLANS = [("smoke", 1, {}), ("mini", 1, {}), ("mini", 2, {}), ("mini", 3, {}), ("paper", 1, PINNED)]


def identities() -> dict[str, str]:
    """Identity by scale, seed and name of the stage, such as "mini.s1 rl.grades"."""
    return {
        f"{scale}.s{seed} {name}": stage.identity
        for scale, seed, pinned in PLANS
        for name, stage in build_plan(load_params(scale, pinned), seed).items()
    }


if __name__ == "__main__":
    print(json.dumps(identities(), indent=1))
