"""Figures: one plotly function each, from a table. Study.show adds which scale, seed and plan the numbers come from."""

from importlib import import_module


def __getattr__(name: str):
    """figures.tokens without an import of its own: a chapter names what it draws, and only that is loaded."""
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError:
        raise AttributeError(f"{__name__} has no {name}") from None
