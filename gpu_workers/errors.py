"""Errors of the workers: what a user can mend is told apart from what we must mend."""


class TissueMapsError(Exception):
    """Base of every error this project raises on purpose.

    Parameters
    ----------
    message
        One sentence for the person who has to act on it; names the thing at fault.
    code
        Stable machine-readable code in ``snake_case``.
    files
        Names of the files at fault, relative to their acquisition.
    """

    code = "internal_error"

    def __init__(self, message: str, *, code: str | None = None, files: tuple[str, ...] = ()):
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.files = files


class UserError(TissueMapsError, ValueError):
    """Something a user can mend: bad input, impossible arguments. Never retried."""

    code = "invalid"


class FileError(UserError):
    """A file cannot be read or contradicts the others; `files` names it."""

    code = "bad_file"


class DataMissing(UserError, LookupError):
    """Something a step needs has not been made yet."""

    code = "missing_input"
