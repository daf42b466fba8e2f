"""The one exception that a user is meant to read."""


class Refusal(ValueError):
    """What was wrong, what was expected, and what to type instead, in one or two sentences.

    `train.py` and `apply.py` print it without a traceback and exit with code 1.
    """
