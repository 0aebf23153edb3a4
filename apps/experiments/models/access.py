"""Who was given which level on what."""

from __future__ import annotations

from django.db import models

from apps.core.permissions import GroupGrant, UserGrant
from apps.experiments.models.experiments import Experiment, Plate
from apps.experiments.models.images import ObjectType


class ExperimentUserGrant(UserGrant):
    """A user's level on an experiment."""

    content_object = models.ForeignKey(Experiment, on_delete=models.CASCADE)


class ExperimentGroupGrant(GroupGrant):
    """A group's level on an experiment."""

    content_object = models.ForeignKey(Experiment, on_delete=models.CASCADE)


class PlateUserGrant(UserGrant):
    """A user's level on one plate."""

    content_object = models.ForeignKey(Plate, on_delete=models.CASCADE)


class PlateGroupGrant(GroupGrant):
    """A group's level on one plate."""

    content_object = models.ForeignKey(Plate, on_delete=models.CASCADE)


class ObjectTypeUserGrant(UserGrant):
    """A user's level on one object type."""

    content_object = models.ForeignKey(ObjectType, on_delete=models.CASCADE)


class ObjectTypeGroupGrant(GroupGrant):
    """A group's level on one object type."""

    content_object = models.ForeignKey(ObjectType, on_delete=models.CASCADE)
