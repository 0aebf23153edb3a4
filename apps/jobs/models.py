"""The ledger of work: jobs, their attempts, the workers, and the numbered events of a scope."""

from django.db import models

from apps.core.models import BaseModel


class JobState(models.TextChoices):
    """States of a job; the last four are final."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"
    REUSED = "reused"


class AttemptState(models.TextChoices):
    """States of an attempt; only the newest attempt of a job may change the job."""

    SENT = "sent"
    CLAIMED = "claimed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"
    LOST = "lost"
    RELEASED = "released"


class JobKind(models.TextChoices):
    """What a job does for its parent (a step run, a tool result, an inspection or a preview)."""

    PLAN = "plan"
    RUN = "run"
    COLLECT = "collect"
    TOOL = "tool"
    INSPECT = "inspect"
    PREVIEW = "preview"
    SEGMENT = "segment"


class SpecTemplate(BaseModel):
    """What the specs of many jobs have in common; kept once, not per job."""

    scope = models.UUIDField(db_index=True)
    body = models.JSONField()

    class Meta:
        ordering = ("-created_at", "id")

    def __str__(self) -> str:
        return f"{self.body.get('name')} of {self.scope}"


class Job(BaseModel):
    """One unit of work. `scope` is an experiment's id, `parent` what the job belongs to."""

    scope = models.UUIDField()
    group = models.UUIDField(null=True, help_text="research group whose share it uses")
    kind = models.CharField(max_length=10, choices=JobKind.choices)
    name = models.CharField(max_length=50, help_text="step or tool")
    queue = models.CharField(max_length=20)
    backend = models.CharField(max_length=10, default="cpu")
    state = models.CharField(max_length=10, choices=JobState.choices, default=JobState.WAITING)
    round = models.PositiveIntegerField(default=0)
    index = models.PositiveIntegerField(default=0)
    template = models.ForeignKey(SpecTemplate, on_delete=models.PROTECT, related_name="jobs")
    batch = models.JSONField(default=dict)
    content_key = models.CharField(max_length=40, blank=True)
    parent = models.UUIDField()
    priority = models.SmallIntegerField(default=0)
    position = models.BigIntegerField(default=0, help_text="order of submission")
    attempts_made = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    output = models.JSONField(default=dict)
    products = models.JSONField(default=dict)
    problems = models.JSONField(default=list)
    error = models.JSONField(null=True, blank=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=100, blank=True)
    cpu_s = models.FloatField(default=0)
    peak_memory_mb = models.FloatField(default=0)

    class Meta:
        ordering = ("-created_at", "id")
        indexes = [
            models.Index(
                fields=["queue", "group", "scope", "-priority", "position"],
                condition=models.Q(state="waiting"),
                name="jobs_waiting",
            ),
            models.Index(
                fields=["queue"],
                condition=models.Q(state__in=["queued", "running"]),
                name="jobs_in_flight",
            ),
            models.Index(
                fields=["scope", "content_key"],
                condition=models.Q(state="succeeded") & ~models.Q(content_key=""),
                name="jobs_by_content",
            ),
            models.Index(fields=["parent", "state"], name="jobs_by_parent"),
            models.Index(fields=["scope", "-created_at"], name="jobs_by_scope"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=JobState.values), name="jobs_state_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.kind} {self.round}.{self.index} ({self.state})"


class Attempt(BaseModel):
    """One try at a job. Its secret signs what the worker reports; its number fences the rest."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    worker = models.CharField(max_length=100, blank=True)
    state = models.CharField(max_length=10, choices=AttemptState.choices, default=AttemptState.SENT)
    secret = models.CharField(max_length=64)
    message = models.CharField(max_length=40, help_text="id of its message in the queue")
    sent_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    cpu_s = models.FloatField(default=0)
    peak_memory_mb = models.FloatField(default=0)
    code_version = models.CharField(max_length=60, blank=True)

    class Meta:
        ordering = ("job", "number")
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="attempt_number_is_unique"),
        ]
        indexes = [
            models.Index(
                fields=["state", "sent_at"],
                condition=models.Q(state__in=["sent", "claimed"]),
                name="attempts_alive",
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.job_id} ({self.state})"


class Tally(models.Model):
    """How many jobs of a parent are in which state; kept by differences, read in one row."""

    parent = models.UUIDField(primary_key=True)
    scope = models.UUIDField(db_index=True)
    waiting = models.IntegerField(default=0)
    queued = models.IntegerField(default=0)
    running = models.IntegerField(default=0)
    succeeded = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    killed = models.IntegerField(default=0)
    reused = models.IntegerField(default=0)

    class Meta:
        ordering = ("parent",)

    def __str__(self) -> str:
        return str(self.parent)


class Worker(models.Model):
    """A worker process that has announced itself; kept for people, never used to decide."""

    id = models.CharField(primary_key=True, max_length=100)
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    slots = models.JSONField(default=dict, help_text="queue -> slots")
    code_version = models.CharField(max_length=60, blank=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ("-seen_at", "id")

    def __str__(self) -> str:
        return self.id


class Scope(models.Model):
    """Counter of an experiment's events; its row lock orders everything that happens in it."""

    id = models.UUIDField(primary_key=True)
    sequence = models.BigIntegerField(default=0)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.id} at {self.sequence}"


class Event(models.Model):
    """Something that happened in a scope, for those who watch it live."""

    scope = models.ForeignKey(Scope, on_delete=models.CASCADE, related_name="events")
    sequence = models.BigIntegerField()
    kind = models.CharField(max_length=40)
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ("scope", "sequence")
        constraints = [
            models.UniqueConstraint(fields=["scope", "sequence"], name="event_sequence_is_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.sequence} of {self.scope_id}"
