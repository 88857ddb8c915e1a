"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend. Its message is one sentence: what is wrong, where, what to do.

    Scripts and the Snakefile print the sentence and exit with code 1; no stack trace is shown.
    """
