"""Codes of the errors that submissions can have."""

from enum import StrEnum


class WorkflowErrorCode(StrEnum):
    """Why a workflow cannot be described, submitted or changed."""

    UNKNOWN_TYPE = "unknown_workflow_type"
    BAD_DESCRIPTION = "bad_description"
    INVALID_ARGUMENTS = "invalid_arguments"
    MISSING_INPUT = "missing_input"
    RUNNING = "workflow_running"
    NOT_RUNNING = "workflow_not_running"
    UNKNOWN_STAGE = "unknown_stage"
    UNKNOWN_STEP = "unknown_step"
    NO_SPACE = "no_space"
