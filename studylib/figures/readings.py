"""What a figure shows and what that comes to, in two to four sentences whose words follow from the table."""

import pandas as pd

from studylib.analysis.curves import collapses
from studylib.analysis.dial import BASES
from studylib.analysis.difficulty import ALL, LEVELS, MEAN, PARTS
from studylib.analysis.verdicts import NON_INFERIORITY_MARGIN
from studylib.figures.findings import span
from studylib.figures.palette import in_order, name_of
from studylib.figures.tables import each

EASIEST, HARDEST = LEVELS[0], LEVELS[-1]
KEEPS, LOSES, OPEN = "keeps", "loses", "may keep or lose"
LEVEL_COURSE = 1.0  # points on validation: two checkpoints that differ by less are level
HARDLY = 5.0  # % of the questions: fewer is hardly any


def gain(gains: pd.DataFrame, arm: str) -> str:
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


def samples(passes: pd.DataFrame, arm: str) -> str:
    """What more samples of the base would have given, beside an arm. passes: passk.pass_at_k."""
    cells = passes[(passes["benchmark"] == ALL) & (passes["level"] == ALL)].set_index(["arm", "k"])["estimate"]
    one, base = cells[arm, 1], cells["base"]
    enough = [k for k in base.index if base[k] >= one]
    most = max(k for k in cells[arm].index if k in base.index)
    wider = "more" if cells[arm, most] > base[most] else "less"
    reach = (
        f"of the base's it takes {enough[0]} for one of them to be right as often ({base[enough[0]]:.1f} %)"
        if enough
        else f"one of {base.index.max()} of the base's less often"
    )
    return (
        f"One answer of {name_of(arm)} is right in {one:.1f} %: {reach}. "
        f"Of {most} answers one is right in {cells[arm, most]:.1f} %, of the base's in {base[most]:.1f} %: "
        f"{name_of(arm)} has {wider} within reach than the base had before."
    )


def inheritance(contrasts: pd.DataFrame, arm: str, sft: str = "sft_eureka", rl: str = "rl") -> str:
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


def convergence(checkpoints: pd.DataFrame) -> str:
    """Was an arm stopped early? Its last checkpoint beside the best of those before. checkpoints: checkpoint_scores."""
    lines = []
    for arm in in_order(list(checkpoints["arm"].unique())):
        rows = checkpoints[checkpoints["arm"] == arm].sort_values("number")
        last, before = rows.iloc[-1], rows["estimate"].iloc[:-1].max()
        ends = f"{name_of(arm)} ends at {last['estimate']:.1f} % [{last['low']:.1f}, {last['high']:.1f}]"
        if len(rows) > 1:
            ends += (
                f", {last['estimate'] - before:+.1f} points from its best before: {_course(last['estimate'] - before)}"
            )
        lines.append(f"{ends}.")
    return " ".join(lines)


def _course(change: float) -> str:
    if change > LEVEL_COURSE:
        return "still rising, so it may have been stopped early"
    return "level" if change >= -LEVEL_COURSE else "fallen, so an earlier one is tested"


def thresholds(measured: pd.DataFrame, wanted: list[float]) -> str:
    """Which thresholds each arm misses. measured: one row per arm, one column per threshold; NaN is not known."""
    lines = []
    for arm, row in measured.iterrows():
        below = [column for column, least in zip(measured, wanted, strict=True) if row[column] < least]
        lines.append(f"{name_of(arm)} {f'misses {len(below)}: ' + '; '.join(below) if below else 'meets all'}.")
    return f"Of {len(wanted)} thresholds: {' '.join(lines)}"


def rewards(stretches: pd.DataFrame) -> str:
    """Where each run's reward began, stood highest and ended, and whether that is a collapse. stretches: of rewards."""
    collapsed = collapses(stretches)
    runs = [
        f"{name_of(row.Index)}'s reward goes from {row.first:.2f} to {row.last:.2f} (highest {row.highest:.2f}, at "
        f"step {row.highest_at}){', a collapse' if collapsed[row.Index] else ''}"
        for row in stretches.itertuples()
    ]
    word = "There is a collapse where a run" if collapsed.any() else "None collapses: none"
    return f"{'; '.join(runs)}. {word} ends below where it began."


def length_by_level(lengths: pd.DataFrame, arms: list[str]) -> str:
    """Does an arm answer at greater length where it is harder? lengths: length.response_length."""
    cells = lengths[lengths["benchmark"] == ALL].set_index(["arm", "level"])
    lines = []
    for arm in ["base", *arms]:
        if not {(arm, EASIEST), (arm, HARDEST)} <= set(cells.index):
            continue
        easy, hard = cells.loc[arm, EASIEST], cells.loc[arm, HARDEST]
        lines.append(
            f"{_the(arm)} answers in {_tokens(easy)} tokens at {EASIEST} and in {_tokens(hard)} at {HARDEST}, "
            f"{_longer(easy, hard)}"
        )
    return f"{'; '.join(lines)}.".replace("the base", "The base", 1) if lines else "One end of the levels is empty."


def _the(arm: str) -> str:
    return "the base" if arm == "base" else name_of(arm)


def _tokens(row: pd.Series) -> str:
    return f"{row['estimate']:.0f} [{row['low']:.0f}, {row['high']:.0f}]"


def _longer(easy: pd.Series, hard: pd.Series) -> str:
    if hard["low"] > easy["high"]:
        return "longer where it is harder"
    return "shorter where it is harder" if hard["high"] < easy["low"] else "as long where it is harder"


def length_and_gain(gains: pd.DataFrame, lengths: pd.DataFrame, arms: list[str]) -> str:
    """Do the longest answers gain most? gains: difficulty.gains; lengths: length.response_length."""
    over_all = [table[(table["benchmark"] == ALL) & (table["level"] == ALL)] for table in (gains, lengths)]
    gain = over_all[0][over_all[0]["against"] == "B"].set_index("arm").loc[arms]
    tokens = over_all[1].set_index("arm").loc[arms, "estimate"]
    longest, best = tokens.idxmax(), gain["estimate"].idxmax()
    mine = f"{name_of(longest)}'s answers are the longest ({tokens[longest]:.0f} tokens)"
    theirs = f"{name_of(best)} gains most ({span(gain.loc[best])} points, {tokens[best]:.0f} tokens)"
    if longest == best:
        return f"{mine}, and it gains most ({span(gain.loc[best])} points): here length and gain go together."
    return (
        f"{mine}; it changes accuracy by {span(gain.loc[longest])}. {theirs}. So the longest answers do not gain most."
    )


def benchmarks(gains: pd.DataFrame, arms: list[str]) -> str:
    """On how many benchmarks an arm is shown to gain or to lose, and where most. gains: difficulty.gains."""
    fair = each(gains[(gains["against"] == "B") & (gains["level"] == ALL)], *arms)
    lines = []
    for arm in arms:
        rows = fair[fair["arm"] == arm]
        most, least = rows.loc[rows["estimate"].idxmax()], rows.loc[rows["estimate"].idxmin()]
        up, down = (rows["low"] > 0).sum(), (rows["high"] < 0).sum()
        comes_to = (
            "so the mean over all hides a trade between benchmarks"
            if up and down
            else "so no benchmark pays for another"
            if up or down
            else "so no benchmark is shown to move"
        )
        lines.append(
            f"Of {len(rows)} benchmarks {name_of(arm)} is shown to gain on {up} and to lose on {down}: most on "
            f"{most['benchmark']} ({span(most)} points), least on {least['benchmark']} ({span(least)}); {comes_to}."
        )
    return " ".join(lines)


def reflection(words: pd.DataFrame) -> str:
    """Which word of the paper's five each arm says most, and whether it says any that the base does not.

    words: style.word_counts.
    """
    counts = words.pivot(index="arm", columns="word", values="per_1000_responses")
    lines = []
    for arm in in_order([arm for arm in counts.index if arm != "base"]):
        row, own = counts.loc[arm], counts.loc["base"]
        new = [word for word in row.index if row[word] > 0 and own[word] == 0]
        if not row.sum():
            lines.append(f"{name_of(arm)} says none of them")
            continue
        word = row.idxmax()
        more = f"of which the base never says {', '.join(new)}" if new else "and none that the base does not say"
        lines.append(f"{name_of(arm)} says {word!r} most ({row[word]:.0f} times per 1,000 answers), {more}")
    return f"{'; '.join(lines)}."


def divergence(places: pd.DataFrame, pivotal: dict[str, pd.DataFrame], words: int = 3) -> str:
    """Where in a sentence, and at which words, each arm is furthest from the base.

    places: divergence.kl_by_place with the arm; pivotal: divergence.pivotal_tokens by arm, the furthest first.
    """
    cells = places.set_index(["arm", "place"])["kl"]
    lines = []
    for arm, table in pivotal.items():
        opening, inside = cells[arm, "opens a sentence"], cells[arm, "inside a sentence"]
        where = "where a sentence begins" if opening > inside else "inside sentences"
        lines.append(
            f"{name_of(arm)} is {opening:.3f} nats per token from the base where a sentence begins and {inside:.3f} "
            f"inside it, so it departs more {where}; most at {', '.join(map(repr, table['token'].head(words)))}."
        )
    return " ".join(lines)


def flows(flows: pd.DataFrame, before: str, after: str) -> str:
    """How many questions are lost and won on the way, beside two samples of one model. flows: style.flows."""
    cells = flows[flows["benchmark"] == ALL].set_index("flow")
    lost, won = cells.loc["right to wrong"], cells.loc["wrong to right"]
    more = "more is won than lost" if won["share"] > lost["share"] else "no more is won than lost"
    return (
        f"From {_the(before)} to {name_of(after)} {lost['share']:.1f} % of the questions are lost and "
        f"{won['share']:.1f} % won, where a second sample of {_the(before)} would lose and win "
        f"{lost['share_by_chance']:.1f} % each: {more}, and {lost['share'] - lost['share_by_chance']:+.1f} and "
        f"{won['share'] - won['share_by_chance']:+.1f} points are more than chance."
    )


def failing_share(stretches: pd.DataFrame) -> str:
    """How many questions interleaved training teaches by their trace. stretches: of the share that fails, 0 to 1."""
    return " ".join(
        f"In {name_of(row.Index)} {100 * row.first:.0f} % of a step's questions fail at first and {100 * row.last:.0f} "
        f"% in the end. Where hardly any fails (under {HARDLY:.0f} %) it is RL by another name: here "
        f"{'so' if 100 * max(row.first, row.last) < HARDLY else 'not so'}."
        for row in stretches.itertuples()
    )


def interpolation(off: pd.DataFrame) -> str:
    """Does accuracy lie on the straight line between the parents? off: synergy.off_the_line."""
    shown = off[off["p_holm"] < 0.05]
    below, above = (shown["estimate"] < 0).sum(), (shown["estimate"] > 0).sum()
    furthest = off.loc[off["estimate"].abs().idxmax()]
    comes_to = (
        "accuracy interpolates, as far as so many questions can tell"
        if shown.empty
        else "there is a pit between the parents"
        if not above
        else "there is a peak between the parents"
        if not below
        else "accuracy does not interpolate"
    )
    return (
        f"Of {len(off)} merged models {below} are shown to lie below the straight line between the parents and {above} "
        f"above it (p below 0.05 after Holm's correction). The furthest is {furthest['merge']} at an SFT share of "
        f"{furthest['share']:g}, {span(furthest)} points. So {comes_to}."
    )


def levels(counts: pd.DataFrame) -> str:
    """How the questions lie over the levels. counts: difficulty.level_counts."""
    levels = counts[list(LEVELS)]
    shares = 100 * levels.sum() / levels.to_numpy().sum()
    place, level = levels.stack().idxmin()
    ends = shares[EASIEST] + shares[HARDEST]
    return (
        f"{shares[EASIEST]:.0f} % of the questions are at {EASIEST} and {shares[HARDEST]:.0f} % at {HARDEST}: "
        f"{'most' if ends > 50 else 'fewer than half'} are at the ends, where the base is nearly always right or "
        f"nearly always wrong. The smallest cell is {place} at {level} with {levels.loc[place, level]} questions."
    )


def prompt(accuracy: pd.DataFrame) -> str:
    """What a prompt alone gives the untrained base. accuracy: difficulty.accuracy with base and base_prompted."""
    cells = accuracy[accuracy["benchmark"] == ALL].set_index("arm")["estimate"]
    if "base_prompted" not in cells:
        return "No other prompt is known to this base."
    change = cells["base_prompted"] - cells["base"]
    return (
        f"The base is right in {cells['base']:.1f} %, with the best of the prompts that it knows in "
        f"{cells['base_prompted']:.1f} %: {change:+.1f} points are what a prompt gives, and what an "
        "arm's gain has to be more than."
    )


def headroom(passes: pd.DataFrame) -> str:
    """How much of what the base gets wrong it could say. passes: passk.pass_at_k."""
    cells = passes[(passes["benchmark"] == ALL) & (passes["arm"] == "base")].set_index(["level", "k"])["estimate"]
    most = max(k for _, k in cells.index)
    at = [f"at {HARDEST} {cells[HARDEST, 1]:.1f} and {cells[HARDEST, most]:.1f} %"] if (HARDEST, 1) in cells else []
    return (
        f"One answer of the base is right in {cells[ALL, 1]:.1f} % and one of {most} in {cells[ALL, most]:.1f} %"
        f"{''.join(f', {words}' for words in at)}. What lies between is what choosing among its own answers could "
        f"gain; the other {100 - cells[ALL, most]:.1f} % it has to be shown."
    )


def compute(matched: pd.DataFrame, arms: list[str]) -> str:
    """Each combination beside what a parent had for no more compute. matched: compute.matched_differences."""
    lines = []
    for arm in arms:
        rows = matched[matched["arm"] == arm]
        if rows.empty:
            continue
        row = rows.loc[rows["estimate"].idxmin()]
        sign = {1: "above", 0: "not told apart from", -1: "below"}[_sign(row)]
        lines.append(f"{name_of(arm)} is {sign} {name_of(row['against'])} at its price ({span(row)} points).")
    return " ".join(lines)


def lead(accuracy: pd.DataFrame) -> str:
    """RL minus SFT, and what either gains over its base, along the doses of one trunk. accuracy: by base."""
    cells = accuracy[accuracy["benchmark"] == ALL].set_index(["base", "arm"])["estimate"].unstack()
    cells = cells.reindex([base.name for base in BASES if base.name in cells.index])
    gains = cells[["sft_eureka", "rl"]].sub(cells["base"], axis=0)
    lines = [f"at {base} SFT gains {row['sft_eureka']:+.1f} and RL {row['rl']:+.1f}" for base, row in gains.iterrows()]
    first = f"In points over its own base, {'; '.join(lines)}."
    difference = (gains["rl"] - gains["sft_eureka"]).drop(BASES[-1].name, errors="ignore")
    if len(difference) < 2:
        return f"{first} With one dose the dial says nothing."
    if difference.is_monotonic_increasing:
        course = "grows with each"
    elif difference.is_monotonic_decreasing:
        course = "falls with each"
    else:
        course = "goes one way and then the other with the"
    return f"{first} RL minus SFT {course} dose."


def long_way(ways: pd.DataFrame, groups: pd.DataFrame) -> str:
    """Whether RL goes the long way more often than its base does when instructed, and how many groups could show it.

    ways: dial.long_way by base, groups: dial.groups by base (both %).
    """
    lines = []
    for base, row in groups.set_index("base").iterrows():
        cells = ways[ways["base"] == base].set_index("arm")
        if "rl" not in cells.index:
            continue
        rl, own = cells.loc["rl"], cells.loc["base_instructed"]
        course = "RL has taken it up" if rl["low"] > own["high"] else "RL is not shown to take it up"
        lines.append(
            f"At {base} {row['estimate']:.1f} % of the base's groups of rollouts hold the long way, and it goes from "
            f"{own['estimate']:.1f} to {rl['estimate']:.1f} % of the answers: {course}."
        )
    return " ".join(lines)


def synergy(verdicts: pd.DataFrame) -> str:
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
