"""Who may do what with the workflows' routes. How a row is written: see `roles`."""

from tests.integration.access.roles import EDIT, SIGNED_IN, VIEW, World, row


def build(world: World) -> dict[str, object]:
    """Add a workflow that is at its end, with one step and one job."""
    from apps.experiments.selectors import experiment_root
    from apps.jobs.models import Job, SpecTemplate
    from apps.workflows.models import Preview, StageRun, StepRun, Workflow

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
    preview = Preview.objects.create(experiment=world.experiment, pipeline="", state="succeeded")
    picture = experiment_root(world.experiment.id) / f"previews/{preview.id}/0/0-mask.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"picture")
    return {
        "workflow_id": workflow.id,
        "job_id": job.id,
        "preview_id": preview.id,
        "site": 0,
        "output": "0-mask.png",
    }


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
    row("GET", "pipeline-template-list", None, SIGNED_IN(200)),
    row("GET", "bound-template-list", None, VIEW(200)),
    row("POST", "pipeline-check", {"pipeline": "modules: []"}, VIEW(200)),
    row("GET", "preview-list", None, VIEW(200)),
    row("POST", "preview-list", {"pipeline": "modules: []"}, EDIT(409)),
    row("GET", "preview", None, VIEW(200)),
    row("DELETE", "preview", None, EDIT(204)),
    row("GET", "preview-file", None, VIEW(200)),
]
