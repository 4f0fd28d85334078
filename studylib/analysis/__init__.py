"""Measures: pandas tables from responses and grades. Nothing here imports torch."""
