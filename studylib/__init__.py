"""An open, rerunnable study of how long-CoT SFT and RL combine in a reasoning vision-language model."""


def __getattr__(name: str):
    """from studylib import Study, without the price of its imports for whoever wants another module."""
    if name != "Study":
        raise AttributeError(name)
    from studylib.study.notebook import Study

    return Study
