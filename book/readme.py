"""Writes the results in README.md from the committed tables and chapters: python -m book.readme.

What is written stands between two comments; all else in README is nobody's but its authors'.
"""

import base64
import json

import pandas as pd

from studylib.analysis.dial import BASES, NOT_RUN, WORDS
from studylib.analysis.difficulty import ALL, LEVELS, PARTS
from studylib.analysis.gate import posed
from studylib.analysis.verdicts import COMBINATIONS
from studylib.errors import StudyError
from studylib.figures import readings
from studylib.figures.palette import in_order, name_of
from studylib.figures.tables import measured_against
from studylib.paths import ROOT, reference_root

README, HERO = ROOT / "README.md", ROOT / "book" / "hero.png"
BEGIN, END = "<!-- results: make readme -->", "<!-- end of results -->"
DIAL = "13_when_do_they_add_up"
ARMS = ("sft_eureka", "rl", *COMBINATIONS)
# What the paper says in its abstract and figures; the chapters judge all others beside these.
CLAIMS = (
    "few-beat-many length-alone rambling-long rl-better rl-every-level sft-easy sft-hard sft-hardest rl-easy "
    "rl-over-sft sft-long rl-short two_stage-below-rl interleaved-below-rl progressive-keeps-rl data_mixing-below-rl "
    "merging-between merging-below-rl"
).split() + [f"{arm}-synergy" for arm in COMBINATIONS]


def results(scale: str = "mini") -> str:
    """The block of README as Markdown. Raises StudyError where no results are committed."""
    tables = reference_root(scale) / "tables"
    if not tables.exists():
        raise StudyError(f"outputs/{scale} holds no tables: make study and make reference SCALE={scale} first.")
    whole = tables / "11_the_synergy_dilemma"
    accuracy, gains, lengths, several, seeds, gate = (
        pd.read_csv(whole / f"{name}.csv")
        for name in ("accuracy", "gains", "lengths", "pass_at_k", "accuracy_by_seed", "gate")
    )
    files = tables.glob("*/verdicts.csv")
    judged = pd.concat([pd.read_csv(file).assign(chapter=file.parent.name) for file in files])
    judged = judged[judged["benchmarks"] == ALL]
    return "\n\n".join(
        [
            f"**The gate: {posed(gate)}.** Chapter 01 has its table.",
            f"**The question:** {readings.synergy(judged[judged['chapter'] == whole.name]).removeprefix('- ')}",
            "\n".join(_arms(accuracy, gains, lengths, several, seeds.set_index("arm"))),
            "\n".join(_claims(judged)),
            "\n".join(_dial(*(pd.read_csv(tables / DIAL / f"{n}.csv") for n in ("accuracy", "pass_at_k", "outcome")))),
        ]
    )


def _arms(
    accuracy: pd.DataFrame, gains: pd.DataFrame, lengths: pd.DataFrame, several: pd.DataFrame, seeds: pd.DataFrame
) -> list[str]:
    """One row per arm: accuracy, that of the other seeds, pass@4, gains over the base by part and level, tokens."""
    right = accuracy[accuracy["benchmark"] == ALL].set_index("arm")
    fair = gains[gains["against"] == "B"].set_index(["arm", "benchmark", "level"])["estimate"]
    tokens = lengths[(lengths["benchmark"] == ALL) & (lengths["level"] == ALL)].set_index("arm")["estimate"]
    four = _one_of_four(several).set_index("arm")["estimate"]
    panels = [*((part, ALL) for part in PARTS), *((ALL, level) for level in LEVELS)]
    others = list(seeds.columns[1:])
    head = ["", "right, %", *others, "one of 4 right, %", *PARTS, *LEVELS, "tokens"]
    rows = []
    for arm in in_order([arm for arm in ("base", "base_prompted", *ARMS) if arm in right.index]):
        row = right.loc[arm]
        cells = [f"{row['estimate']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"]
        cells += [f"{seeds.loc[arm, other]:.1f}" if arm in seeds.index else "" for other in others]
        cells += [f"{four[arm]:.1f}"]
        cells += [f"{fair[arm, *panel]:+.1f}" if (arm, *panel) in fair.index else "" for panel in panels]
        rows.append([name_of(arm), *cells, f"{tokens[arm]:.0f}" if arm in tokens else ""])
    return _table(head, rows)


def _claims(judged: pd.DataFrame) -> list[str]:
    """One row per claim of CLAIMS: what was measured over all benchmarks, the verdict, and its chapter."""
    rows = []
    for row in judged.set_index("id").loc[CLAIMS].to_dict("records"):
        link = f"[{row['chapter'][:2]}](notebooks/{row['chapter']}.ipynb)"
        rows.append([row["claim"], measured_against(row), row["verdict"], link])
    return _table(["claim", "here", "verdict", "chapter"], rows)


def _dial(accuracy: pd.DataFrame, several: pd.DataFrame, outcome: pd.DataFrame) -> list[str]:
    """One row per base: what each arm has right over all benchmarks, and in one of four answers; before them how the
    prediction fared."""
    parts = outcome["outcome"].value_counts()
    tally = ", ".join(f"{parts[word]} {word}" for word in (*WORDS.values(), NOT_RUN) if word in parts)
    cells = accuracy[accuracy["benchmark"] == ALL].set_index(["base", "arm"])["estimate"].unstack()
    four = _one_of_four(several).set_index(["base", "arm"])["estimate"].unstack()
    arms = in_order(list(cells.columns))
    intro = (
        f"**The dial** ([chapter 13](notebooks/{DIAL}.ipynb)): right in % (in brackets: one of four answers), by the "
        "share of two-hop examples that the base has seen worked out the long way. "
        f"Of {len(outcome)} parts of the prediction: {tally}."
    )
    bases = [base.name for base in BASES if base.name in cells.index]
    rows = [[base, *(f"{cells.loc[base, arm]:.1f} ({four.loc[base, arm]:.1f})" for arm in arms)] for base in bases]
    return [intro, "", *_table(["seen", *map(name_of, arms)], rows)]


def _one_of_four(several: pd.DataFrame) -> pd.DataFrame:
    """The rows of pass@4 over all questions. several: passk.pass_at_k."""
    return several[(several["benchmark"] == ALL) & (several["level"] == ALL) & (several["k"] == 4)]


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]


def with_results(text: str, block: str) -> str:
    """A README with this block between its two comments."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{rest.split(END)[1]}"


def hero(scale: str = "mini") -> bytes:
    """Figure 1 of chapter 05 as PNG, as its executed notebook holds it."""
    chapter = json.loads((reference_root(scale) / "chapters" / "05_sft_against_rl.ipynb").read_text())
    shown = (output.get("data", {}) for cell in chapter["cells"] for output in cell.get("outputs", []))
    (figure,) = (data for data in shown if 'id="figure-figure-1"' in "".join(data.get("text/html", "")))
    return base64.b64decode(figure["image/png"])


if __name__ == "__main__":
    README.write_text(with_results(README.read_text(), results()))
    HERO.write_bytes(hero())
