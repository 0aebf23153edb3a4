"""Rows for tests, made with factory_boy where no service makes them."""

from __future__ import annotations

from typing import Any

import factory
from factory.django import DjangoModelFactory

from apps.accounts.models import ResearchGroup, Role, User
from apps.accounts.services import group_create, membership_set
from apps.core import permissions
from apps.experiments.models import (
    Acquisition,
    Channel,
    Cycle,
    Experiment,
    Feature,
    Inspection,
    LayoutVersion,
    Mosaic,
    ObjectSet,
    ObjectType,
    Plate,
    Product,
    Site,
    SourceFile,
    Well,
)

PASSWORD = "a test's password"


class UserFactory(DjangoModelFactory):
    """An active user; `password` is `PASSWORD`."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"user{n}")
    email = factory.LazyAttribute(lambda o: f"{o.username}@example.org")

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> User:
        kwargs.setdefault("password", PASSWORD)
        return model_class.objects.create_user(*args, **kwargs)


class GroupFactory(DjangoModelFactory):
    """A research group; `members` and `managers` are lists of users."""

    class Meta:
        model = ResearchGroup

    name = factory.Sequence(lambda n: f"Group {n}")

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> ResearchGroup:
        members, managers = kwargs.pop("members", []), kwargs.pop("managers", [])
        group = group_create(**kwargs)
        for user in members:
            membership_set(group=group, user=user)
        for user in managers:
            membership_set(group=group, user=user, role=Role.MANAGER)
        return group


class ExperimentFactory(DjangoModelFactory):
    """An experiment; `owner`, `editor` and `viewer` are users who get that level."""

    class Meta:
        model = Experiment

    name = factory.Sequence(lambda n: f"Experiment {n}")
    group = factory.SubFactory(GroupFactory)

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Experiment:
        levels = {"own": "owner", "edit": "editor", "view": "viewer"}
        people = {level: kwargs.pop(name, None) for level, name in levels.items()}
        kwargs.setdefault("created_by", people["own"])
        experiment = model_class.objects.create(*args, **kwargs)
        for level, user in people.items():
            if user is not None:
                permissions.grant(subject=user, level=level, obj=experiment)
        return experiment


class PlateFactory(DjangoModelFactory):
    """A plate."""

    class Meta:
        model = Plate

    experiment = factory.SubFactory(ExperimentFactory)
    name = factory.Sequence(lambda n: f"Plate {n}")


class AcquisitionFactory(DjangoModelFactory):
    """An acquisition that waits for uploads."""

    class Meta:
        model = Acquisition

    plate = factory.SubFactory(PlateFactory)
    name = factory.Sequence(lambda n: f"Acquisition {n}")
    index = factory.Sequence(lambda n: n)


class InspectionFactory(DjangoModelFactory):
    """An inspection that waits."""

    class Meta:
        model = Inspection

    acquisition = factory.SubFactory(AcquisitionFactory)


class SourceFileFactory(DjangoModelFactory):
    """A complete file's row (no bytes on the disk)."""

    class Meta:
        model = SourceFile

    acquisition = factory.SubFactory(AcquisitionFactory)
    name = factory.Sequence(lambda n: f"file{n}.tif")
    size = 100
    received = factory.SelfAttribute("size")
    status = "complete"


class WellFactory(DjangoModelFactory):
    """A well of 100 x 100 px."""

    class Meta:
        model = Well

    plate = factory.SubFactory(PlateFactory)
    row = 0
    column = factory.Sequence(lambda n: n % 24)
    name = factory.LazyAttribute(lambda o: f"{chr(65 + o.row)}{o.column + 1:02d}")
    y = 0
    x = factory.LazyAttribute(lambda o: o.column * 512)
    height = 100
    width = 100


class SiteFactory(DjangoModelFactory):
    """A site that fills its well."""

    class Meta:
        model = Site

    well = factory.SubFactory(WellFactory)
    index = factory.Sequence(lambda n: n)
    name = factory.LazyAttribute(lambda o: str(o.index + 1))
    y = 0
    x = 0
    height = 100
    width = 100


class CycleFactory(DjangoModelFactory):
    """A cycle."""

    class Meta:
        model = Cycle

    experiment = factory.SubFactory(ExperimentFactory)
    index = 0


class ChannelFactory(DjangoModelFactory):
    """A channel."""

    class Meta:
        model = Channel

    experiment = factory.SubFactory(ExperimentFactory)
    index = factory.Sequence(lambda n: n)
    name = factory.LazyAttribute(lambda o: f"C{o.index:02d}")
    layout_name = factory.SelfAttribute("name")
    color = "#00ff00"
    dtype = "uint16"


class ObjectTypeFactory(DjangoModelFactory):
    """An object type."""

    class Meta:
        model = ObjectType

    experiment = factory.SubFactory(ExperimentFactory)
    name = factory.Sequence(lambda n: f"Type{n}")


class FeatureFactory(DjangoModelFactory):
    """A feature."""

    class Meta:
        model = Feature

    object_type = factory.SubFactory(ObjectTypeFactory)
    name = factory.Sequence(lambda n: f"Feature_{n}")


class LayoutVersionFactory(DjangoModelFactory):
    """A current layout."""

    class Meta:
        model = LayoutVersion

    experiment = factory.SubFactory(ExperimentFactory)
    key = factory.Sequence(lambda n: f"{n:020x}")
    path = factory.LazyAttribute(lambda o: f"layouts/{o.key}/layout.json")
    is_current = True


def _levels() -> list[dict[str, Any]]:
    return [{"path": "0", "height": 512, "width": 512}]


class MosaicFactory(DjangoModelFactory):
    """A current mosaic of one tile (rows only, no pixels)."""

    class Meta:
        model = Mosaic

    plate = factory.SubFactory(PlateFactory)
    experiment = factory.SelfAttribute("plate.experiment")
    key = factory.Sequence(lambda n: f"{n:020x}")
    path = factory.LazyAttribute(lambda o: f"mosaics/{o.key}/plate.zarr")
    layout_key = "0" * 20
    is_current = True
    info = factory.LazyFunction(
        lambda: {
            "projection": None,
            "corrected": False,
            "pixel_size_um": 0.65,
            "n_tpoints": 1,
            "n_zplanes": 1,
            "shape": [1, 1, 1, 512, 512],
            "levels": _levels(),
            "tile": 512,
            "channels": [],
        }
    )


class ObjectSetFactory(DjangoModelFactory):
    """A current object set (rows only, no labels)."""

    class Meta:
        model = ObjectSet

    plate = factory.SubFactory(PlateFactory)
    experiment = factory.SelfAttribute("plate.experiment")
    object_type = factory.SubFactory(
        ObjectTypeFactory, experiment=factory.SelfAttribute("..experiment")
    )
    key = factory.Sequence(lambda n: f"{n:020x}")
    path = factory.LazyAttribute(lambda o: f"objects/{o.key}/objects.json")
    layout_key = "0" * 20
    is_current = True
    n_objects = 3
    info = factory.LazyFunction(
        lambda: {
            "shape": [1, 1, 1, 512, 512],
            "levels": _levels(),
            "tile": 512,
            "wells": [{"name": "A01", "first": 1, "count": 3}],
            "features": [],
        }
    )


class ProductFactory(DjangoModelFactory):
    """A current product."""

    class Meta:
        model = Product

    experiment = factory.SubFactory(ExperimentFactory)
    name = "metadata"
    key = factory.Sequence(lambda n: f"{n:020x}")
    path = factory.LazyAttribute(lambda o: f"{o.name}/{o.key}/{o.name}.json")
    step = "metaextract"
    is_current = True
