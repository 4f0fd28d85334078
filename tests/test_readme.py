"""README's results are those of the committed tables."""

import pandas as pd
import pytest

from book import readme
from studylib.paths import reference_root


def test_readme_shows_what_the_committed_tables_hold():
    text = readme.README.read_text()
    assert readme.with_results(text, readme.results()) == text, "README is older than outputs/: make readme"
    assert readme.HERO.read_bytes() == readme.hero()


def test_every_claim_that_readme_names_is_judged_by_a_chapter():
    judged = pd.concat(map(pd.read_csv, (reference_root("mini") / "tables").glob("*/verdicts.csv")))
    assert set(readme.CLAIMS) <= set(judged["id"])


def test_only_what_stands_between_the_two_comments_is_written():
    text = f"before {readme.BEGIN}\n\nold\n\n{readme.END} after"
    assert readme.with_results(text, "new") == f"before {readme.BEGIN}\n\nnew\n\n{readme.END} after"
    with pytest.raises(ValueError):
        readme.with_results("no comments", "new")
