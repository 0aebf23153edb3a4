"""Writes of the ledger.

Entry points for other apps: `jobs_submit`, `jobs_kill`, `event_publish`, `register_handler`. The
control loop's are `apps.jobs.services.control.Control`.
"""

from apps.jobs.services.events import event_publish, events_publish, scopes_lock
from apps.jobs.services.handlers import register_batch_handler, register_handler
from apps.jobs.services.submission import NewJob, jobs_kill, jobs_submit

__all__ = [
    "NewJob",
    "event_publish",
    "events_publish",
    "jobs_kill",
    "jobs_submit",
    "register_batch_handler",
    "register_handler",
    "scopes_lock",
]
