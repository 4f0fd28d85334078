"""Measures: pandas tables from responses and grades. Nothing here imports torch."""

from importlib import import_module


def __getattr__(name: str):
    """analysis.length without an import of its own: a chapter names what it measures, and only that is loaded."""
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError:
        raise AttributeError(f"{__name__} has no {name}") from None
