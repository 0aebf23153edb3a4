"""Reads of pipelines: templates, checks and previews. Previews show the whole experiment's images."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

from apps.core.errors import NotFound
from apps.experiments.models import Channel, ObjectType, Site
from apps.experiments.selectors import current_inputs, experiment_root
from apps.workflows.models import Preview
from apps.workflows.selectors.workflows import whole_experiment
from gpu_workers.errors import UserError
from gpu_workers.storage.layout import REGION_TYPES

if TYPE_CHECKING:
    from io import BufferedReader

    from django.db.models import QuerySet

    from apps.accounts.models import User
    from gpu_workers.pipelines.description import Pipeline

logger = logging.getLogger(__name__)

CONTENT_TYPES = {
    "png": "image/png",
    "npy": "application/octet-stream",
    "parquet": "application/vnd.apache.parquet",
}
_NAME = re.compile(r"^[0-9]{1,4}-[A-Za-z_][A-Za-z0-9_]{0,99}\.(png|npy|parquet)$")
_LINE = re.compile(r"\bline (\d+)\b")


def _template(pipeline: Pipeline, channels: tuple[str, ...]) -> dict[str, Any]:
    """Return what people see of a template, with the names of channels that play its roles."""
    from gpu_workers.pipelines.binding import bind, roles
    from gpu_workers.pipelines.text import write_pipeline

    wanted = roles(pipeline)
    try:
        pipeline = bind(pipeline, channels) if channels else pipeline
    except UserError:
        # The roles stay, and the check says which of them no channel plays.
        logger.debug("the template %s does not fit %s", pipeline.name, channels)
    return {
        "name": pipeline.name,
        "title": pipeline.title or pipeline.name,
        "description": pipeline.description,
        "channels": list(wanted),
        "object_types": [o.name for o in pipeline.objects],
        "text": write_pipeline(pipeline),
    }


def pipeline_templates() -> list[dict[str, Any]]:
    """Return name, title, description, channels, object types and text of every template."""
    from gpu_workers.pipelines import library

    return [_template(library.load(name), ()) for name in library.names()]


def pipeline_templates_bound(*, user: User, experiment_id: UUID) -> list[dict[str, Any]]:
    """Return the templates with an experiment's channels in place of the roles that they play."""
    from gpu_workers.pipelines import library

    whole_experiment(user=user, experiment_id=experiment_id)
    channels = _channels(experiment_id)
    return [_template(library.load(name), channels) for name in library.names()]


def _channels(experiment_id: UUID) -> tuple[str, ...]:
    """Return the names by which steps know an experiment's channels, whatever the map calls them."""
    rows = Channel.objects.filter(experiment_id=experiment_id).order_by("index")
    return tuple(rows.values_list("layout_name", flat=True))


def labels_known(*, experiment_id: UUID) -> dict[str, tuple[str, ...]]:
    """Return the names of label images that a pipeline may use, plain and with where they come from.

    Those of object types, of labels that came with the images, and of uploaded ones; ``uploaded:X``,
    ``imported:X`` and ``objects:X`` tell them apart.
    """
    types = ObjectType.objects.filter(experiment_id=experiment_id).exclude(name__in=REGION_TYPES)
    found = {"objects": list(types.values_list("name", flat=True))}
    inputs = current_inputs(experiment_id=experiment_id)
    for kind, product, part in (
        ("imported", "plates", "labels"),
        ("uploaded", "segmentations", "types"),
    ):
        if product in inputs:
            path = experiment_root(experiment_id) / inputs[product]
            manifest = json.loads(path.read_bytes())
            found[kind] = [each["name"] for each in manifest.get(part, ()) if "name" in each]
    names = [n for kind, own in found.items() for name in own for n in (name, f"{kind}:{name}")]
    return dict.fromkeys(names, ())


def _line_of(text: str, where: str) -> int | None:
    """Return the line of a pipeline's text that a problem's place means, if that can be told."""
    import yaml

    try:
        node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    line: int | None = None
    for part in re.sub(r" \([^)]*\)", "", where).split("."):
        if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
        elif isinstance(node, yaml.MappingNode):
            pairs = {key.value: (key, value) for key, value in node.value}
            if part not in pairs:
                break
            key, node = pairs[part]
            line = key.start_mark.line + 1
            continue
        else:
            break
        line = node.start_mark.line + 1
    return line


def _problem(text: str, code: str, where: str, message: str) -> dict[str, Any]:
    told = _LINE.search(message)
    line = int(told.group(1)) if told and not where else _line_of(text, where)
    return {"code": code, "where": where, "message": message, "line": line}


def _largest_site(experiment_id: UUID) -> tuple[int, int] | None:
    sites = Site.objects.filter(well__plate__experiment_id=experiment_id)
    largest = sites.order_by("-height", "-width").values_list("height", "width").first()
    return (int(largest[0]), int(largest[1])) if largest else None


def pipeline_check(*, user: User, experiment_id: UUID, pipeline: str) -> dict[str, Any]:
    """Return what is wrong with the text of a pipeline for an experiment, and what it would take.

    Only how the pipeline is put together is looked at; what modules make of images, a preview tells.
    """
    from gpu_workers.pipelines.binding import roles
    from gpu_workers.pipelines.check import check_pipeline
    from gpu_workers.pipelines.text import read_pipeline

    whole_experiment(user=user, experiment_id=experiment_id)
    try:
        parsed = read_pipeline(pipeline)
    except UserError as error:
        message = error.message.removeprefix("the pipeline is malformed: ")
        place, colon, _ = message.partition(": ")
        where = place if colon and not place.startswith("line ") else ""
        problem = _problem(pipeline, error.code, where, message)
        return {"problems": [problem], "modules": [], "object_types": [], "memory_bytes": None}
    # Before the conversion nobody knows how the channels are called.
    channels = _channels(experiment_id) or roles(parsed)
    check = check_pipeline(parsed, channels, labels_known(experiment_id=experiment_id))
    problems = [_problem(pipeline, p.code, p.where, p.message) for p in check.problems]
    return {
        "problems": problems,
        "modules": [use.module for use in parsed.modules if use.active],
        "object_types": [o.name for o in parsed.objects],
        "memory_bytes": None if problems else _memory(experiment_id, parsed, channels),
    }


def _memory(experiment_id: UUID, pipeline: Pipeline, channels: tuple[str, ...]) -> int | None:
    """Return how many bytes the images of the largest site take; None before there are any."""
    from gpu_workers.pipelines.check import check_pipeline
    from gpu_workers.pipelines.memory import peak_bytes
    from gpu_workers.pipelines.prepared import Prepared

    shape = _largest_site(experiment_id)
    if shape is None:
        return None
    uses = check_pipeline(pipeline, channels, dict.fromkeys(pipeline.labels.values(), ())).uses
    return peak_bytes(Prepared(pipeline, channels, tuple(uses)), shape)


def preview_sites_choose(*, experiment_id: UUID, sites: list[UUID]) -> list[dict[str, Any]]:
    """Return the places of sites, for the engine; without any, one in the middle of the first plate.

    Raises
    ------
    NotFound
        A site isn't one of the experiment's.
    """
    rows = Site.objects.filter(well__plate__experiment_id=experiment_id, well__removed=False)
    rows = rows.select_related("well").order_by(
        "well__plate__created_at", "well__plate_id", "index"
    )
    if not sites:
        first = rows.first()
        own = rows.filter(well__plate_id=first.well.plate_id) if first else rows
        sites = list(own.values_list("id", flat=True)[own.count() // 2 :][:1])
    found = {site.id: site for site in rows.filter(id__in=sites)}
    missing = [each for each in sites if each not in found]
    if missing or not sites:
        raise NotFound(f"there is no site {missing[0]}" if missing else "there is no site yet")
    return [
        {
            "id": str(each),
            "plate": str(found[each].well.plate_id),
            "well": found[each].well.name,
            "site": found[each].index,
        }
        for each in dict.fromkeys(sites)
    ]


def previews_list(*, user: User, experiment_id: UUID) -> QuerySet[Preview]:
    """Return an experiment's previews, newest first; raises NotFound where only parts are seen."""
    experiment = whole_experiment(user=user, experiment_id=experiment_id)
    return Preview.objects.filter(experiment=experiment).select_related("created_by")


def preview_get(*, user: User, experiment_id: UUID, preview_id: UUID) -> Preview:
    """Return one preview; raises NotFound."""
    found = previews_list(user=user, experiment_id=experiment_id).filter(id=preview_id).first()
    if found is None:
        raise NotFound("there is no such preview")
    return found


def preview_describe(*, user: User, experiment_id: UUID, preview_id: UUID) -> Preview:
    """Return a preview with what its modules have made so far (`result`, `files_url`)."""
    found: Any = preview_get(user=user, experiment_id=experiment_id, preview_id=preview_id)
    manifest = experiment_root(experiment_id) / "previews" / str(preview_id) / "preview.json"
    found.result = json.loads(manifest.read_bytes()) if manifest.is_file() else {}
    found.files_url = f"/api/v1/experiments/{experiment_id}/pipeline/preview/{preview_id}/"
    return found  # type: ignore[no-any-return]


def preview_file(
    *, user: User, experiment_id: UUID, preview_id: UUID, site: int, name: str
) -> tuple[BufferedReader, str]:
    """Return a file of a preview, opened, and its content type; raises NotFound."""
    preview_get(user=user, experiment_id=experiment_id, preview_id=preview_id)
    fits = _NAME.fullmatch(name)
    path = experiment_root(experiment_id) / "previews" / str(preview_id) / str(site) / name
    if fits is None or not path.is_file():
        raise NotFound("the preview has no such file")
    return path.open("rb"), CONTENT_TYPES[fits.group(1)]
