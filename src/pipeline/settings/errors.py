"""The one exception for mistakes that users can correct."""


class UserError(Exception):
    """A user error; the message says in one sentence how to fix it."""
