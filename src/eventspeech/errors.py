"""Errors a user can mend: one sentence that names what is wrong, where, and the remedy."""


class UserError(Exception):
    """Something outside the program is wrong (a file, a parameter, the machine).

    The command line prints the message alone and exits with status 2; the traceback goes to the log.
    """


class ParameterError(UserError):
    """A parameter is unknown, out of range or in conflict with another."""


class DataError(UserError):
    """An input file is missing, corrupt or holds impossible values."""
