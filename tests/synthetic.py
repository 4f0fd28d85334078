"""A small seeded study: responses of a base and two arms, for the tests of tables and figures."""

import numpy as np
import pandas as pd
from PIL import Image

BENCHMARKS = ("MiniVision", "MiniVerse", "MiniVista", "MiniMMMU", "MiniStar")
TEXTS = {
    "base": "3 + 4 = 7.",
    "sft_eureka": "<think> Wait, let me check again. However 3 + 4 = 7. </think> \\boxed{7}",
    "rl": "<think> Check: 3 + 4 = 7. </think> \\boxed{7}",
}


def arm_scores(arm: str, samples: int, seed: int = 0, questions: int = 60, pull: float = 0.0) -> pd.DataFrame:
    """Scores as scores.join_scores gives them; `pull` draws every pass rate towards a half."""
    truth = np.random.default_rng(99).beta(0.7, 0.7, (len(BENCHMARKS), questions))
    rng = np.random.default_rng([seed, samples, len(arm)])
    rates = truth + pull * (0.5 - truth)
    correct = rng.random((*rates.shape, samples)) < rates[..., None]
    b, q, s = (index.ravel() for index in np.indices(correct.shape))
    longer = {"base": 12, "sft_eureka": 150, "rl": 18}.get(arm, 60)
    return pd.DataFrame(
        {
            "benchmark": np.array(BENCHMARKS)[b],
            "problem": [f"{i}-{j}" for i, j in zip(b, q, strict=True)],
            "question_id": [f"{BENCHMARKS[i]}-{j}" for i, j in zip(b, q, strict=True)],
            "arm": arm,
            "seed": seed,
            "sample": s,
            "correct": correct.ravel().astype(float),
            "tokens": (longer * (1 + (1 - truth[b, q])) * rng.uniform(0.8, 1.2, b.size)).astype(int),
            "finish_reason": np.where(rng.random(b.size) < 0.03, "length", "stop"),
            "text": TEXTS.get(arm, "7"),
        }
    )


def training_log() -> pd.DataFrame:
    rng, steps = np.random.default_rng(5), np.arange(1, 81)
    tables = []
    for arm, kl in {"rl": 0.02, "rl_beta0": 0.2}.items():
        noise = rng.normal(size=(7, len(steps)))
        tables.append(
            pd.DataFrame(
                {
                    "arm": arm,
                    "step": steps,
                    "reward": 0.55 + 0.1 * (1 - np.exp(-steps / 20)) + 0.02 * noise[0],
                    "length": 20 + steps / 10 + noise[1],
                    "entropy": 0.6 * np.exp(-steps / 60) + 0.02 * noise[2],
                    "kl": kl * steps / 80 + 0.002 * abs(noise[3]),
                    "clipped": 0.01 + 0.003 * abs(noise[4]),
                    "truncated": 0.02 * abs(noise[5]),
                    "zero_variance": 0.4 + 0.05 * noise[6],
                }
            )
        )
    return pd.concat(tables)


def question_rows(count: int = 4) -> list[dict]:
    rng = np.random.default_rng(3)
    return [
        {
            "benchmark": BENCHMARKS[i % 5],
            "question": "What is the total of the red digits minus the total of the blue ones?\n(A) 4\n(B) 7",
            "answer": "B",
            "images": [Image.fromarray(rng.integers(0, 255, (112, 112, 3), dtype=np.uint8))],
        }
        for i in range(count)
    ]
