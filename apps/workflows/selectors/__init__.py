"""Reads of workflows, their types and their jobs."""

from apps.workflows.selectors.pipelines import (
    pipeline_check,
    pipeline_templates,
    pipeline_templates_bound,
    preview_describe,
    preview_file,
    preview_get,
    previews_list,
)
from apps.workflows.selectors.registries import modules_describe, readers_describe, steps_describe
from apps.workflows.selectors.types import workflow_types
from apps.workflows.selectors.workflows import (
    EVENTS,
    PART_KINDS,
    description_get,
    event_list,
    job_get,
    job_log,
    jobs_list,
    person_get,
    sees_whole,
    workflow_detail,
    workflow_get,
    workflows_list,
)

__all__ = [
    "EVENTS",
    "PART_KINDS",
    "description_get",
    "event_list",
    "job_get",
    "job_log",
    "jobs_list",
    "modules_describe",
    "person_get",
    "pipeline_check",
    "pipeline_templates",
    "pipeline_templates_bound",
    "preview_describe",
    "preview_file",
    "preview_get",
    "previews_list",
    "readers_describe",
    "sees_whole",
    "steps_describe",
    "workflow_detail",
    "workflow_get",
    "workflow_types",
    "workflows_list",
]
