"""Questions and traces of a scale."""
