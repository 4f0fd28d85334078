"""The study as a whole: its plan, its workers, its chapters, what a notebook sees."""
