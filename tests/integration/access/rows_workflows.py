"""Who may do what with the workflows' routes. How a row is written: see `roles`."""

from tests.integration.access.roles import EDIT, SIGNED_IN, VIEW, World, row


def build(world: World) -> dict[str, object]:
    """Add a workflow that is at its end, with one step and one job."""
    from apps.jobs.models import Job, SpecTemplate
    from apps.workflows.models import StageRun, StepRun, Workflow

    workflow = Workflow.objects.create(
        experiment=world.experiment,
        number=1,
        state="failed",
        description={"type": "canonical", "stages": []},
    )
    stage = StageRun.objects.create(workflow=workflow, name="image_conversion", index=0)
    step = StepRun.objects.create(
        stage_run=stage, workflow=workflow, name="metaextract", index=0, state="failed"
    )
    template = SpecTemplate.objects.create(scope=world.experiment.id, body={})
    job = Job.objects.create(
        scope=world.experiment.id,
        kind="plan",
        name="metaextract",
        queue="cpu",
        state="failed",
        template=template,
        parent=step.id,
    )
    return {"workflow_id": workflow.id, "job_id": job.id}


DESCRIPTION = {"type": "no such type", "stages": []}

ROWS = [
    row("GET", "reader-list", None, SIGNED_IN(200)),
    row("GET", "step-list", None, SIGNED_IN(200)),
    row("GET", "module-list", None, SIGNED_IN(200)),
    row("GET", "workflow-type-list", None, SIGNED_IN(200)),
    row("GET", "workflow-description", None, VIEW(200)),
    row("PUT", "workflow-description", DESCRIPTION, EDIT(400)),
    row("GET", "workflow-list", None, VIEW(200)),
    row("POST", "workflow-list", {}, EDIT(202)),
    row("GET", "workflow", None, VIEW(200)),
    row("POST", "workflow-kill", None, EDIT(409)),
    row("POST", "workflow-resubmit", {}, EDIT(202)),
    row("GET", "workflow-job-list", None, VIEW(200)),
    row("GET", "job", None, VIEW(200)),
    row("GET", "job-log", None, VIEW(200)),
    row("GET", "event-list?after=0", None, VIEW(200)),
]
