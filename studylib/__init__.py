"""An open, rerunnable study of how long-CoT SFT and RL combine in a reasoning vision-language model."""
