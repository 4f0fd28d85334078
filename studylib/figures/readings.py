"""What a figure shows and what that comes to, in two to four sentences whose words follow from the table."""

import pandas as pd

from studylib.analysis.difficulty import ALL, LEVELS, MEAN, PARTS
from studylib.analysis.verdicts import NON_INFERIORITY_MARGIN
from studylib.figures.findings import span
from studylib.figures.palette import name_of

EASIEST, HARDEST = LEVELS[0], LEVELS[-1]
KEEPS, LOSES, OPEN = "keeps", "loses", "may keep or lose"


def gained(gains: pd.DataFrame, arm: str) -> str:
    """An arm's gain over the base: in all, where it was trained and where not, and at both ends of the levels.

    gains: difficulty.gains.
    """
    fair = gains[(gains["arm"] == arm) & (gains["against"] == "B")].set_index(["benchmark", "level"])
    nothing = gains[(gains["arm"] == "base") & (gains["benchmark"] == ALL)].set_index("level")["estimate"]
    over = [f"{span(fair.loc[part, ALL])} on the benchmarks {_of(part)}" for part in PARTS if (part, ALL) in fair.index]
    ends = [level for level in (EASIEST, HARDEST) if (ALL, level) in fair.index]
    at = [f"{span(fair.loc[ALL, level])} at {level} (untrained: {nothing[level]:+.1f})" for level in ends]
    return (
        f"{name_of(arm)} changes accuracy by {span(fair.loc[ALL, ALL])} points over all: {', '.join(over)}. "
        f"By level it is {' and '.join(at) or 'not known'}. {_ends([_sign(fair.loc[ALL, level]) for level in ends])}"
    )


def _of(part: str) -> str:
    return {"trained": "that the training queries are like", "held out": "held out"}[part]


def _sign(row: pd.Series) -> int:
    """1 or -1 where the interval lies above or below zero, else 0."""
    return int(row["low"] > 0) - int(row["high"] < 0)


def _ends(signs: list[int]) -> str:
    if signs == [-1, 1]:
        return "So it trades easy questions for hard ones."
    if signs == [1, -1]:
        return "So it trades hard questions for easy ones."
    if len(signs) == 2 and min(signs) >= 0 and max(signs) > 0:
        return "So it gains somewhere and is not shown to lose at either end."
    if len(signs) == 2 and max(signs) <= 0 and min(signs) < 0:
        return "So it loses somewhere and is not shown to gain at either end."
    return "Neither end is shown to move."


def sampled(passes: pd.DataFrame, arm: str) -> str:
    """What more samples of the base would have given, beside an arm. passes: passk.pass_at_k."""
    cells = passes[(passes["benchmark"] == ALL) & (passes["level"] == ALL)].set_index(["arm", "k"])["estimate"]
    one, base = cells[arm, 1], cells["base"]
    enough = [k for k in base.index if base[k] >= one]
    most = max(k for k in cells[arm].index if k in base.index)
    wider = "more" if cells[arm, most] > base[most] else "less"
    reach = (
        f"one of {enough[0]} of the base's ({base[enough[0]]:.1f} %)" if enough else "no number of the base's reaches"
    )
    return (
        f"One answer of {name_of(arm)} is right in {one:.1f} %: {'as often as ' if enough else 'what '}{reach}. "
        f"Of {most} answers one is right in {cells[arm, most]:.1f} %, of the base's in {base[most]:.1f} %: "
        f"{name_of(arm)} has {wider} within reach than the base had before."
    )


def kept(contrasts: pd.DataFrame, arm: str, sft: str = "sft_eureka", rl: str = "rl") -> str:
    """What of each parent is left in a combination: RL's easiest questions and SFT's hardest, to the margin.

    contrasts: verdicts.contrasts_for or synergy.against_parents (points).
    """
    mine = contrasts[(contrasts["arm"] == arm) & (contrasts["benchmark"] == ALL) & (contrasts["measure"] == "accuracy")]
    cells = mine.set_index(["against", "level"])
    whole = (
        f"Over all, {name_of(arm)} minus {name_of(sft)} is {span(cells.loc[sft, ALL])} points, minus {name_of(rl)} "
        f"{span(cells.loc[rl, ALL])}."
    )
    if not {(rl, EASIEST), (sft, HARDEST)} <= set(cells.index):
        return f"{whole} One end of the levels has no questions here."
    easy, hard = cells.loc[rl, EASIEST], cells.loc[sft, HARDEST]
    of_rl, of_sft = _left(easy), _left(hard)
    return (
        f"{whole} At {EASIEST} it {of_rl} what {name_of(rl)} has ({span(easy)}), at {HARDEST} it {of_sft} what "
        f"{name_of(sft)} has ({span(hard)}). {_comes_to(of_rl, of_sft)}"
    )


def _left(row: pd.Series) -> str:
    if row["low"] > -NON_INFERIORITY_MARGIN:
        return KEEPS
    return LOSES if row["high"] < -NON_INFERIORITY_MARGIN else OPEN


def _comes_to(of_rl: str, of_sft: str) -> str:
    if (of_rl, of_sft) == (KEEPS, KEEPS):
        return "So both ends are there: what lies between decides."
    if (of_rl, of_sft) == (LOSES, LOSES):
        return "So it has neither parent's better end."
    if of_sft == LOSES:
        return f"So what SFT brings is lost{'' if of_rl == KEEPS else '; whether RL keeps its end is open'}."
    if of_rl == LOSES:
        return f"So SFT's price is paid{'' if of_sft == KEEPS else '; whether for all that SFT brings is open'}."
    return "So these questions do not decide it."


def answer(verdicts: pd.DataFrame) -> str:
    """Is a combination as good as the better parent at every level? By part of the benchmarks, in words.

    verdicts: verdicts.judge of the claims of synergy (chapter 11).
    """
    lines = []
    for part in (*PARTS, ALL):
        rows = verdicts[verdicts["benchmarks"] == part]
        if rows.empty:
            continue
        named = {
            word: [_weakest(row, word) for _, row in rows[rows["verdict"] == word].iterrows()]
            for word in ("holds", "fails", "undecided")
        }
        where = "Over all benchmarks" if part == ALL else f"On the benchmarks {_of(part)}"
        shown = ", ".join(named["holds"]) or "no combination"
        lines.append(
            f"{where}, {shown} is shown to be as good as the better parent at every level"
            + (f"; shown not to be: {', '.join(named['fails'])}" if named["fails"] else "")
            + (f"; undecided: {', '.join(named['undecided'])}" if named["undecided"] else "")
            + "."
        )
    return "\n".join(f"- {line}" for line in lines)


def _weakest(row: pd.Series, verdict: str) -> str:
    """A combination's name, and where it is not shown to hold its weakest part."""
    name = name_of(row["id"].removesuffix("-synergy"))
    at = "in the mean over levels" if row["level"] == MEAN else f"at {row['level']}"
    return name if verdict == "holds" else f"{name} ({span(row)} points {at})"
