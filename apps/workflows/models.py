"""Rows of the workflows: what was asked for, and how far its stages and steps are."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.core.models import BaseModel
from apps.workflows.graph import Phase, State

STATES = [(state.value, state.value) for state in State]
PHASES = [(phase.value, phase.value) for phase in Phase]


class SavedDescription(BaseModel):
    """The description that an experiment's next workflow is made of."""

    experiment = models.OneToOneField(
        "experiments.Experiment", on_delete=models.CASCADE, related_name="workflow_description"
    )
    body = models.JSONField()

    class Meta:
        ordering = ("-created_at", "id")

    def __str__(self) -> str:
        return f"description of {self.experiment_id}"


class Workflow(BaseModel):
    """One submission of an experiment's workflow, or of some of its stages."""

    experiment = models.ForeignKey(
        "experiments.Experiment", on_delete=models.CASCADE, related_name="workflows"
    )
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=STATES, default=State.WAITING)
    description = models.JSONField()
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="workflows"
    )
    idempotency_key = models.CharField(max_length=100, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-number", "id")
        constraints = [
            models.UniqueConstraint(
                fields=["experiment", "number"], name="workflow_number_is_unique"
            ),
            models.UniqueConstraint(
                fields=["experiment"],
                condition=Q(state__in=[State.WAITING, State.RUNNING]),
                name="one_workflow_at_a_time",
            ),
            models.UniqueConstraint(
                fields=["experiment", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="workflow_request_is_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"workflow {self.number} of {self.experiment_id} ({self.state})"


class StageRun(BaseModel):
    """One stage of a workflow."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="stages")
    name = models.CharField(max_length=50)
    index = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=10, choices=STATES, default=State.WAITING)

    class Meta:
        ordering = ("workflow", "index")
        constraints = [
            models.UniqueConstraint(fields=["workflow", "index"], name="stage_index_is_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.state})"


class StepRun(BaseModel):
    """One step of a workflow; its id is the `parent` of its jobs."""

    stage_run = models.ForeignKey(StageRun, on_delete=models.CASCADE, related_name="steps")
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="steps")
    name = models.CharField(max_length=50)
    index = models.PositiveSmallIntegerField(help_text="place among all steps of the workflow")
    active = models.BooleanField(default=True)
    state = models.CharField(max_length=10, choices=STATES, default=State.WAITING)
    phase = models.CharField(max_length=10, choices=PHASES, blank=True)
    round = models.PositiveIntegerField(default=0)
    rounds = models.JSONField(default=list, help_text="jobs per round, known after the plan")
    collect = models.BooleanField(default=True)
    arguments = models.JSONField(default=dict)
    inputs = models.JSONField(default=dict)
    products = models.JSONField(default=dict)
    output = models.JSONField(default=dict)
    key = models.CharField(max_length=40, blank=True)
    backend = models.CharField(max_length=10, default="cpu")
    limits = models.JSONField(default=dict)
    error = models.JSONField(null=True, blank=True)
    problems = models.JSONField(default=list)
    n_problems = models.PositiveIntegerField(default=0)
    bytes_to_write = models.BigIntegerField(default=0)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("workflow", "index")
        constraints = [
            models.UniqueConstraint(fields=["workflow", "index"], name="step_index_is_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.state})"


class StepPlan(BaseModel):
    """What a step's plan job answered: the batches of each round."""

    step_run = models.OneToOneField(StepRun, on_delete=models.CASCADE, related_name="plan")
    rounds = models.JSONField(default=list)

    class Meta:
        ordering = ("-created_at", "id")

    def __str__(self) -> str:
        return f"plan of {self.step_run_id}"


class Preview(BaseModel):
    """A pipeline tried on a few sites; what it makes lies in the folder ``previews/<id>``."""

    experiment = models.ForeignKey(
        "experiments.Experiment", on_delete=models.CASCADE, related_name="previews"
    )
    pipeline = models.TextField(help_text="as it was written")
    arguments = models.JSONField(default=dict, blank=True)
    sites = models.JSONField(default=list)
    state = models.CharField(max_length=10, choices=STATES, default=State.WAITING)
    job = models.UUIDField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ("-created_at", "id")
        indexes = [models.Index(fields=["job"], name="preview_job")]

    def __str__(self) -> str:
        return f"preview of {self.experiment_id} ({self.state})"
