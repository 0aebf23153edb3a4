"""Why the platform cannot start: always one line for the person at the terminal."""


class StartError(Exception):
    """Something outside the program keeps it from starting; the message names it in one line."""
