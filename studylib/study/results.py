"""What a chapter reads of one training seed, or of several pooled: scores and what follows from them, each once."""

from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from studylib.analysis import checkpoints, difficulty, length, passk, synergy, verdicts
from studylib.analysis.scores import question_rates
from studylib.analysis.verdicts import Claim


@dataclass(frozen=True)
class Results:
    """Test answers of the base and of some arms, with the levels; and the validation answers of each checkpoint.

    scores: one row per answer (scores.join_scores), the base's being set B, which every gain is taken against.
    base_a: the same for set A, which tags the levels. asked: the validation questions. prompted: the
    base's answers to the prompt that is best on validation. seeds: the training seeds.
    """

    arms: tuple[str, ...]
    scores: pd.DataFrame
    base_a: pd.DataFrame
    levels: pd.DataFrame
    validation: pd.DataFrame
    asked: pd.DataFrame
    prompted: pd.DataFrame | None
    seeds: tuple[int, ...]
    stamp: str

    @cached_property
    def base(self) -> pd.DataFrame:
        """Set B of the base."""
        return self.of("base")

    @cached_property
    def trained(self) -> pd.DataFrame:
        """Everything but the base."""
        return self.scores[self.scores["arm"] != "base"]

    def of(self, *arms: str) -> pd.DataFrame:
        """The answers of these arms."""
        return self.scores[self.scores["arm"].isin(arms)]

    @cached_property
    def beside_prompted(self) -> pd.DataFrame:
        """The answers of the base and the arms, and those of the prompted base, where there are."""
        return pd.concat([self.scores, self.prompted])

    @cached_property
    def accuracy(self) -> pd.DataFrame:
        """Accuracy in % on each benchmark and over all (difficulty.accuracy), the prompted base beside the arms."""
        return difficulty.accuracy(self.beside_prompted)

    @cached_property
    def pass_at_k(self) -> pd.DataFrame:
        """pass@k in % by benchmark and level (passk.pass_at_k), the prompted base beside the arms."""
        return passk.pass_at_k(self.beside_prompted, self.levels)

    @cached_property
    def gains(self) -> pd.DataFrame:
        """Gains in points by benchmark and level (difficulty.gains)."""
        return difficulty.gains(self.trained, self.base_a, self.base, self.levels)

    @cached_property
    def lengths(self) -> pd.DataFrame:
        """Mean answer tokens by benchmark and level (length.response_length)."""
        return length.response_length(self.scores, self.levels)

    @cached_property
    def truncated(self) -> pd.DataFrame:
        """Share of answers cut at the token limit (length.truncation_share)."""
        return length.truncation_share(self.scores)

    @cached_property
    def against_parents(self) -> pd.DataFrame:
        """Every combination minus each parent, paired (synergy.against_parents)."""
        return synergy.against_parents(self.scores, self.levels)

    def against_better(self, better: pd.DataFrame, *arms: str) -> pd.DataFrame:
        """Each arm minus the parent that validation calls better at a level (synergy.against_better)."""
        return synergy.against_better(self.scores, self.levels, better, list(arms))

    @cached_property
    def checkpoints(self) -> pd.DataFrame:
        """Validation accuracy of every checkpoint of an arm, not of the base (checkpoints.checkpoint_scores)."""
        return checkpoints.checkpoint_scores(self.validation[self.validation["arm"] != "base"], self.asked)

    @cached_property
    def chosen(self) -> pd.DataFrame:
        """Validation answers of the base and of each arm's chosen checkpoint (checkpoints.chosen_responses)."""
        return checkpoints.chosen_responses(self.validation, self.asked)

    def pick(self, right: list[str], wrong: list[str], level: str = "") -> str:
        """The question that comes closest to: every sample of these arms right, every sample of those wrong.

        level: only there, if there is any; the first of equals. Gives the question's id.
        """
        rates = question_rates(self.scores).groupby(["question_id", "arm"])["value"].mean().unstack()
        levels = self.levels.set_index("question_id")["level"]
        apart = (rates[right].min(axis=1) - rates[wrong].max(axis=1)).sort_index()
        there = apart[levels.reindex(apart.index) == level]
        return (there if len(there) else apart).idxmax()

    def contrasts(self, claims: list[Claim], *more: pd.DataFrame) -> pd.DataFrame:
        """Every difference that the claims are about (verdicts.contrasts_for), with those that come from elsewhere."""
        return pd.concat([verdicts.contrasts_for(claims, self.scores, self.levels), *more], ignore_index=True)

    def verdicts(self, claims: list[Claim], *more: pd.DataFrame) -> pd.DataFrame:
        """Holds, fails or undecided, of each claim and part of the benchmarks (verdicts.judge)."""
        return verdicts.judge(claims, self.contrasts(claims, *more))


def pooled(seeds: list[Results]) -> Results:
    """All seeds in one, with the levels and the base, which has no training seed, of the first of them."""
    first, ordered = seeds[0], sorted(seeds, key=lambda one: one.seeds)
    scores = pd.concat([first.base, *(one.trained for one in ordered)])
    stamp = first.stamp if len(seeds) == 1 else f"{first.stamp}, {len(seeds)} seeds"
    return replace(first, scores=scores, seeds=tuple(one.seeds[0] for one in ordered), stamp=stamp)
