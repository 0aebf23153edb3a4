"""The description that an experiment's next workflow is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from apps.experiments.selectors import experiment_get
from apps.workflows.models import SavedDescription
from apps.workflows.selectors.types import Description, description_check

if TYPE_CHECKING:
    from apps.accounts.models import User


@transaction.atomic
def description_save(*, user: User, experiment_id: UUID, body: Any) -> Description:
    """Check and keep a description; raises Invalid, naming stage, step and argument."""
    experiment = experiment_get(user=user, experiment_id=experiment_id, level="edit")
    described = description_check(body)
    SavedDescription.objects.update_or_create(
        experiment=experiment, defaults={"body": described.model_dump(mode="json")}
    )
    return described
