"""The site: executed chapters, the question explorer and the exercises. make book builds it."""
