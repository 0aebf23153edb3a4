"""What the workflow endpoints take and give."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

STATES = ["waiting", "running", "succeeded", "failed", "killed", "skipped", "reused"]
JOB_STATES = ["waiting", "queued", "running", "succeeded", "failed", "killed", "reused"]
KINDS = ["plan", "run", "collect", "tool", "inspect", "preview", "segment"]


class RegistryEntrySerializer(serializers.Serializer[Any]):
    """One entry of a registry; `schema` is the JSON Schema of its arguments."""

    name = serializers.CharField()
    title = serializers.CharField()
    help = serializers.CharField()
    version = serializers.IntegerField()
    schema = serializers.DictField()


class HandleSerializer(serializers.Serializer[Any]):
    """An input or output of a module; its kind is that of the variable it takes or makes."""

    name = serializers.CharField()
    kind = serializers.CharField(help_text="such as intensity, mask, labels; 'mask or labels'")
    optional = serializers.BooleanField(required=False, help_text="of inputs")


class ModuleEntrySerializer(RegistryEntrySerializer):
    """A module of image-analysis pipelines."""

    works_on = serializers.CharField(allow_blank=True, help_text="images, masks, objects, measure")
    dimensions = serializers.ListField(child=serializers.IntegerField())
    device = serializers.BooleanField(help_text="also works on a GPU")
    remembers = serializers.BooleanField(help_text="is told of the time point before")
    inputs = HandleSerializer(many=True)
    outputs = HandleSerializer(many=True)


class LimitsSerializer(serializers.Serializer[Any]):
    """Limits of one job."""

    time_s = serializers.IntegerField(required=False)
    memory_mb = serializers.IntegerField(required=False)


class StepDescriptionSerializer(serializers.Serializer[Any]):
    """A step as it shall run."""

    name = serializers.CharField()
    title = serializers.CharField(required=False, allow_blank=True)
    active = serializers.BooleanField(required=False)
    arguments = serializers.DictField(required=False)
    limits = LimitsSerializer(required=False, allow_null=True)


class StageDescriptionSerializer(serializers.Serializer[Any]):
    """A stage as it shall run."""

    name = serializers.CharField()
    title = serializers.CharField(required=False, allow_blank=True)
    active = serializers.BooleanField(required=False)
    steps = StepDescriptionSerializer(many=True)


class DescriptionSerializer(serializers.Serializer[Any]):
    """A workflow as it shall run."""

    type = serializers.CharField()
    stages = StageDescriptionSerializer(many=True)


class SubmissionSerializer(serializers.Serializer[Any]):
    """What to submit: all stages unless some are named; the saved description unless one is given."""

    stages = serializers.ListField(child=serializers.CharField(), required=False, allow_null=True)
    until = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=60,
        help_text="last step to run, such as metaconfig to look at the layout before converting",
    )
    description = serializers.DictField(required=False, allow_null=True)


class ResubmissionSerializer(serializers.Serializer[Any]):
    """From where to submit again."""

    from_stage = serializers.CharField(required=False, allow_null=True)
    only_failed = serializers.BooleanField(required=False, default=False)


class CountsSerializer(serializers.Serializer[Any]):
    """Numbers of jobs by state."""

    waiting = serializers.IntegerField()
    queued = serializers.IntegerField()
    running = serializers.IntegerField()
    succeeded = serializers.IntegerField()
    failed = serializers.IntegerField()
    killed = serializers.IntegerField()
    reused = serializers.IntegerField()


class FaultSerializer(serializers.Serializer[Any]):
    """Why something failed; `user`: a user can mend it."""

    code = serializers.CharField()
    message = serializers.CharField()
    files = serializers.ListField(child=serializers.CharField(), required=False)
    user = serializers.BooleanField(required=False)


class FindingSerializer(serializers.Serializer[Any]):
    """Something wrong with the input that did not stop the job."""

    severity = serializers.ChoiceField(choices=["warning", "error"])
    code = serializers.CharField()
    message = serializers.CharField()
    files = serializers.ListField(child=serializers.CharField())


class StepRunSerializer(serializers.Serializer[Any]):
    """A step of a workflow and how far it is."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    active = serializers.BooleanField()
    state = serializers.ChoiceField(choices=STATES)
    phase = serializers.ChoiceField(choices=["plan", "run", "collect"], allow_null=True)
    round = serializers.IntegerField()
    counts = CountsSerializer()
    progress = serializers.FloatField()
    arguments = serializers.DictField()
    backend = serializers.CharField()
    key = serializers.CharField(allow_blank=True)
    bytes_to_write = serializers.IntegerField()
    error = FaultSerializer(allow_null=True)
    problems = FindingSerializer(many=True)
    n_problems = serializers.IntegerField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class StageRunSerializer(serializers.Serializer[Any]):
    """A stage of a workflow."""

    name = serializers.CharField()
    state = serializers.ChoiceField(choices=STATES)
    steps = StepRunSerializer(many=True)


class WorkflowSerializer(serializers.Serializer[Any]):
    """A workflow in a list."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=STATES)
    submitted_by = serializers.CharField(
        source="submitted_by.username", default=None, allow_null=True
    )
    submitted_at = serializers.DateTimeField(source="created_at")
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class WorkflowDetailSerializer(serializers.Serializer[Any]):
    """A workflow with its stages and steps."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    type = serializers.CharField()
    state = serializers.ChoiceField(choices=STATES)
    submitted_by = serializers.CharField(allow_null=True)
    submitted_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    stages = StageRunSerializer(many=True)


class JobFilterSerializer(serializers.Serializer[Any]):
    """Which jobs to list."""

    step = serializers.CharField(required=False, help_text="a step run's id or a step's name")
    state = serializers.ChoiceField(choices=JOB_STATES, required=False)


class JobSerializer(serializers.Serializer[Any]):
    """One job."""

    id = serializers.UUIDField()
    step = serializers.UUIDField(source="parent")
    kind = serializers.ChoiceField(choices=KINDS)
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=JOB_STATES)
    queue = serializers.CharField()
    backend = serializers.CharField()
    round = serializers.IntegerField()
    index = serializers.IntegerField()
    attempts_made = serializers.IntegerField()
    failures = serializers.IntegerField()
    worker = serializers.CharField(allow_blank=True)
    error = FaultSerializer(allow_null=True)
    problems = FindingSerializer(many=True)
    created_at = serializers.DateTimeField()
    queued_at = serializers.DateTimeField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    cpu_s = serializers.FloatField()
    peak_memory_mb = serializers.FloatField()


class AfterSerializer(serializers.Serializer[Any]):
    """Where to go on."""

    after = serializers.IntegerField(required=False, default=0, min_value=0, max_value=2**62)


class LogSerializer(serializers.Serializer[Any]):
    """A piece of a log; ask again with ``after=next`` until it is complete."""

    text = serializers.CharField(allow_blank=True)
    next = serializers.IntegerField()
    complete = serializers.BooleanField()


class EventSerializer(serializers.Serializer[Any]):
    """Something that happened in an experiment."""

    sequence = serializers.IntegerField()
    kind = serializers.CharField()
    payload = serializers.DictField()
    created_at = serializers.DateTimeField()


class EventListSerializer(serializers.Serializer[Any]):
    """Events after a number; `newest` is the number of the newest there is."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = EventSerializer(many=True)
    newest = serializers.IntegerField()


class PipelineTemplateSerializer(serializers.Serializer[Any]):
    """A pipeline that comes along; `channels` are roles that the experiment's channels play."""

    name = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    channels = serializers.ListField(child=serializers.CharField())
    object_types = serializers.ListField(child=serializers.CharField())
    text = serializers.CharField(help_text="YAML")


class PipelineTextSerializer(serializers.Serializer[Any]):
    """A pipeline as text, YAML or JSON."""

    pipeline = serializers.CharField(max_length=262_144, trim_whitespace=False)


class PipelineProblemSerializer(serializers.Serializer[Any]):
    """One thing wrong with a pipeline."""

    code = serializers.CharField()
    where = serializers.CharField(
        help_text="such as modules.2 (smooth).arguments.sigma", allow_blank=True
    )
    message = serializers.CharField()
    line = serializers.IntegerField(allow_null=True, help_text="of the text, from 1; if known")


class PipelineCheckSerializer(serializers.Serializer[Any]):
    """What a check found."""

    problems = PipelineProblemSerializer(many=True)
    modules = serializers.ListField(child=serializers.CharField())
    object_types = serializers.ListField(child=serializers.CharField())
    memory_bytes = serializers.IntegerField(
        allow_null=True, help_text="that the images of the largest site take at their peak"
    )


class NewPreviewSerializer(serializers.Serializer[Any]):
    """What to try a pipeline on."""

    pipeline = serializers.CharField(max_length=262_144, trim_whitespace=False)
    sites = serializers.ListField(
        child=serializers.UUIDField(), max_length=10, required=False, default=list,
        help_text="ids of sites; empty: one in the middle of the first plate",
    )  # fmt: skip
    t = serializers.IntegerField(required=False, default=0, min_value=0, max_value=1_000_000)
    z = serializers.IntegerField(required=False, default=0, min_value=0, max_value=1_000_000)
    arguments = serializers.DictField(
        required=False, default=dict,
        help_text="other arguments of the step jterator, such as projection or correct",
    )  # fmt: skip


class PreviewSerializer(serializers.Serializer[Any]):
    """A preview in a list."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(choices=STATES)
    sites = serializers.ListField(child=serializers.DictField())
    error = FaultSerializer(allow_null=True)
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)


class PreviewDetailSerializer(PreviewSerializer):
    """A preview with what every module has made so far; files lie below ``files_url``."""

    pipeline = serializers.CharField()
    arguments = serializers.DictField()
    files_url = serializers.CharField()
    result = serializers.DictField(
        help_text="features by object type; sites with modules, their outputs and seconds"
    )
