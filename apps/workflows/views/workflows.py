"""Endpoints of workflows, their jobs and the registries."""

from __future__ import annotations

from uuid import UUID

from django.urls import URLPattern, path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import Endpoint, lists
from apps.workflows import selectors, serializers, services
from apps.workflows.selectors.registries import types_describe
from apps.workflows.selectors.workflows import workflow_describe

IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="sent again with the same key, the request answers the same and submits nothing",
)
ENTRIES = serializers.RegistryEntrySerializer(many=True)


class ReaderListView(Endpoint):
    """The readers of microscope formats."""

    @extend_schema(responses=ENTRIES)
    def get(self, request: Request) -> Response:
        """List the readers that are installed."""
        return Response(selectors.readers_describe())


class StepListView(Endpoint):
    """The steps of workflows."""

    @extend_schema(responses=ENTRIES)
    def get(self, request: Request) -> Response:
        """List the steps that are installed."""
        return Response(selectors.steps_describe())


class ModuleListView(Endpoint):
    """The modules of image-analysis pipelines."""

    @extend_schema(responses=serializers.ModuleEntrySerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the modules that are installed, with their inputs, outputs and arguments."""
        found = selectors.modules_describe()
        return Response(serializers.ModuleEntrySerializer(found, many=True).data)


class WorkflowTypeListView(Endpoint):
    """The types of workflows."""

    @extend_schema(responses=ENTRIES)
    def get(self, request: Request) -> Response:
        """List the types; `schema` holds their stages and steps in order."""
        return Response(types_describe())


class DescriptionView(Endpoint):
    """What the next workflow of an experiment will do."""

    @extend_schema(responses=serializers.DescriptionSerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """Return the saved description, or the defaults of the experiment's workflow type."""
        found = selectors.description_get(user=self.user, experiment_id=experiment_id)
        return Response(found.model_dump(mode="json"))

    @extend_schema(
        request=serializers.DescriptionSerializer, responses=serializers.DescriptionSerializer
    )
    def put(self, request: Request, experiment_id: UUID) -> Response:
        """Check and keep a description; an error names stage, step and argument."""
        saved = services.description_save(
            user=self.user, experiment_id=experiment_id, body=request.data
        )
        return Response(saved.model_dump(mode="json"))


class WorkflowListView(Endpoint):
    """The workflows of an experiment."""

    @lists(serializers.WorkflowSerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List the workflows, newest first."""
        found = selectors.workflows_list(user=self.user, experiment_id=experiment_id)
        return self.page(request, found, serializers.WorkflowSerializer)

    @extend_schema(
        request=serializers.SubmissionSerializer,
        responses={202: serializers.WorkflowDetailSerializer},
        parameters=[IDEMPOTENCY],
    )
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Submit the workflow, or only some of its stages."""
        workflow = services.workflow_submit(
            user=self.user,
            experiment_id=experiment_id,
            idempotency_key=request.headers.get("Idempotency-Key", ""),
            **self.valid(serializers.SubmissionSerializer),
        )
        return Response(workflow_describe(workflow), status=status.HTTP_202_ACCEPTED)


class WorkflowView(Endpoint):
    """One workflow."""

    @extend_schema(responses=serializers.WorkflowDetailSerializer)
    def get(self, request: Request, experiment_id: UUID, workflow_id: UUID) -> Response:
        """Return a workflow with its stages and steps, counts of jobs and problems."""
        found = selectors.workflow_detail(
            user=self.user, experiment_id=experiment_id, workflow_id=workflow_id
        )
        return Response(found)


class WorkflowKillView(Endpoint):
    """The end of a workflow."""

    @extend_schema(request=None, responses={202: serializers.WorkflowDetailSerializer})
    def post(self, request: Request, experiment_id: UUID, workflow_id: UUID) -> Response:
        """Kill a workflow with all its jobs."""
        workflow = services.workflow_kill(
            user=self.user, experiment_id=experiment_id, workflow_id=workflow_id
        )
        return Response(workflow_describe(workflow), status=status.HTTP_202_ACCEPTED)


class WorkflowResubmitView(Endpoint):
    """Another go."""

    @extend_schema(
        request=serializers.ResubmissionSerializer,
        responses={202: serializers.WorkflowDetailSerializer},
    )
    def post(self, request: Request, experiment_id: UUID, workflow_id: UUID) -> Response:
        """Submit again, from a stage or only what failed; what has not changed is reused."""
        workflow = services.workflow_resubmit(
            user=self.user,
            experiment_id=experiment_id,
            workflow_id=workflow_id,
            **self.valid(serializers.ResubmissionSerializer),
        )
        return Response(workflow_describe(workflow), status=status.HTTP_202_ACCEPTED)


class JobListView(Endpoint):
    """The jobs of a workflow."""

    @lists(serializers.JobSerializer, serializers.JobFilterSerializer)
    def get(self, request: Request, experiment_id: UUID, workflow_id: UUID) -> Response:
        """List the jobs of a workflow, newest first."""
        found = selectors.jobs_list(
            user=self.user,
            experiment_id=experiment_id,
            workflow_id=workflow_id,
            **self.query(serializers.JobFilterSerializer),
        )
        return self.page(request, found, serializers.JobSerializer)


class JobView(Endpoint):
    """One job."""

    @extend_schema(responses=serializers.JobSerializer)
    def get(self, request: Request, experiment_id: UUID, job_id: UUID) -> Response:
        """Return one job of the experiment."""
        job = selectors.job_get(user=self.user, experiment_id=experiment_id, job_id=job_id)
        return Response(serializers.JobSerializer(job).data)


class JobLogView(Endpoint):
    """What a job printed."""

    @extend_schema(responses=serializers.LogSerializer, parameters=[serializers.AfterSerializer])
    def get(self, request: Request, experiment_id: UUID, job_id: UUID) -> Response:
        """Return the log of the job's newest attempt from a byte on, at most 256 KiB."""
        after = self.query(serializers.AfterSerializer)["after"]
        log = selectors.job_log(
            user=self.user, experiment_id=experiment_id, job_id=job_id, after=after
        )
        return Response(log)


class EventListView(Endpoint):
    """What happened in an experiment."""

    @extend_schema(
        responses=serializers.EventListSerializer, parameters=[serializers.AfterSerializer]
    )
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """Return at most 1000 events after a number, oldest first; kept for a week."""
        after = self.query(serializers.AfterSerializer)["after"]
        events, newest = selectors.event_list(
            user=self.user, experiment_id=experiment_id, after=after
        )
        more = events and events[-1].sequence < newest
        following = f"{request.path}?after={events[-1].sequence}" if more else None
        results = serializers.EventSerializer(events, many=True).data
        return Response(
            {
                "next": request.build_absolute_uri(following) if following else None,
                "previous": None,
                "results": results,
                "newest": newest,
            }
        )


_E = "experiments/<uuid:experiment_id>/"
_W = f"{_E}workflows/<uuid:workflow_id>/"

routes: list[URLPattern] = [
    path("readers/", ReaderListView.as_view(), name="reader-list"),
    path("steps/", StepListView.as_view(), name="step-list"),
    path("modules/", ModuleListView.as_view(), name="module-list"),
    path("workflow-types/", WorkflowTypeListView.as_view(), name="workflow-type-list"),
    path(f"{_E}workflow-description/", DescriptionView.as_view(), name="workflow-description"),
    path(f"{_E}workflows/", WorkflowListView.as_view(), name="workflow-list"),
    path(_W, WorkflowView.as_view(), name="workflow"),
    path(f"{_W}kill/", WorkflowKillView.as_view(), name="workflow-kill"),
    path(f"{_W}resubmit/", WorkflowResubmitView.as_view(), name="workflow-resubmit"),
    path(f"{_W}jobs/", JobListView.as_view(), name="workflow-job-list"),
    path(f"{_E}jobs/<uuid:job_id>/", JobView.as_view(), name="job"),
    path(f"{_E}jobs/<uuid:job_id>/log/", JobLogView.as_view(), name="job-log"),
    path(f"{_E}events/", EventListView.as_view(), name="event-list"),
]
