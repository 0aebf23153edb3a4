"""Codes of the errors that the ledger itself gives jobs."""

from enum import StrEnum


class JobErrorCode(StrEnum):
    """Why a job ended that its own code did not end."""

    KILLED = "killed"
    WORKER_LOST = "worker_lost"
    WORKER_STOPPED = "worker_stopped"
    BAD_RESULT = "bad_result"
    APPLY_FAILED = "internal_error"
