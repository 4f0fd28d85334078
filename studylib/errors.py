"""The one exception whose message is meant for the person at the keyboard."""


class StudyError(Exception):
    """Bad input or a broken run, told in one sentence that names the culprit and the way out."""
