"""Figures: one plotly function each, from a table. `stamp` says which scale and run the numbers come from."""
