"""Experiments and their parts in Django's admin: facts to look up, no pixels and no files' contents.

Staff administer; they see data only as members or by a grant. So nothing here is changed but by the
services, and what a person may set of an experiment is changed through the API.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.experiments.models import (
    Acquisition,
    Channel,
    Cycle,
    Experiment,
    ExperimentGroupGrant,
    ExperimentUserGrant,
    Feature,
    Inspection,
    LayoutEdit,
    LayoutVersion,
    Mosaic,
    ObjectSet,
    ObjectType,
    ObjectTypeGroupGrant,
    ObjectTypeUserGrant,
    Plate,
    PlateGroupGrant,
    PlateUserGrant,
    Product,
    SegmentationUpload,
    Site,
    SourceFile,
    Well,
)

# Django fixes the signatures.
# ruff: noqa: ARG002


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Lists and details, nothing to add, change or delete."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is added by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is changed by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is deleted by hand: the services audit and keep a grace period."""
        return False


@admin.register(Experiment)
class ExperimentAdmin(ReadOnlyAdmin):
    """Experiments."""

    list_display = ("name", "group", "created_by", "workflow_type", "created_at", "deleted_at")
    list_filter = ("group", "workflow_type", "acquisition_mode")
    search_fields = ("name", "id", "group__name", "created_by__username")
    list_select_related = ("group", "created_by")
    date_hierarchy = "created_at"


@admin.register(Plate)
class PlateAdmin(ReadOnlyAdmin):
    """Plates."""

    list_display = ("name", "experiment", "created_at")
    search_fields = ("name", "id", "experiment__name", "experiment__id")
    list_select_related = ("experiment",)


@admin.register(Acquisition)
class AcquisitionAdmin(ReadOnlyAdmin):
    """Acquisitions."""

    list_display = ("name", "plate", "index", "source", "microscope", "status", "created_at")
    list_filter = ("source", "status", "microscope")
    search_fields = ("name", "id", "plate__name", "folder")
    list_select_related = ("plate",)


@admin.register(SourceFile)
class SourceFileAdmin(ReadOnlyAdmin):
    """Files of acquisitions: names and sizes."""

    list_display = ("name", "acquisition", "size", "received", "status", "updated_at")
    list_filter = ("status",)
    search_fields = ("name", "acquisition__id", "acquisition__name")
    list_select_related = ("acquisition",)


@admin.register(Well)
class WellAdmin(ReadOnlyAdmin):
    """Wells."""

    list_display = ("name", "plate", "y", "x", "height", "width", "removed")
    list_filter = ("removed",)
    search_fields = ("name", "plate__id", "plate__name")
    list_select_related = ("plate",)


@admin.register(Site)
class SiteAdmin(ReadOnlyAdmin):
    """Sites."""

    list_display = ("index", "name", "well", "y", "x", "height", "width", "removed")
    list_filter = ("removed",)
    search_fields = ("well__name", "well__plate__id", "well__plate__name")
    list_select_related = ("well",)


@admin.register(Cycle)
class CycleAdmin(ReadOnlyAdmin):
    """Cycles."""

    list_display = ("index", "experiment")
    search_fields = ("experiment__name", "experiment__id")
    list_select_related = ("experiment",)


@admin.register(Channel)
class ChannelAdmin(ReadOnlyAdmin):
    """Channels."""

    list_display = ("index", "name", "experiment", "wavelength_nm", "color", "dtype", "edited")
    search_fields = ("name", "layout_name", "experiment__name", "experiment__id")
    list_select_related = ("experiment",)


@admin.register(ObjectType)
class ObjectTypeAdmin(ReadOnlyAdmin):
    """Object types."""

    list_display = ("name", "experiment", "created_at")
    search_fields = ("name", "experiment__name", "experiment__id")
    list_select_related = ("experiment",)


@admin.register(Feature)
class FeatureAdmin(ReadOnlyAdmin):
    """Features."""

    list_display = ("name", "unit", "object_type")
    search_fields = ("name", "object_type__name")
    list_select_related = ("object_type",)


class VersionAdmin(ReadOnlyAdmin):
    """Something that steps make in versions."""

    list_filter = ("is_current",)
    search_fields = ("key", "id", "experiment__name", "experiment__id")


@admin.register(LayoutVersion)
class LayoutVersionAdmin(VersionAdmin):
    """Layouts."""

    list_display = ("key", "experiment", "is_current", "created_at")
    list_select_related = ("experiment",)


@admin.register(LayoutEdit)
class LayoutEditAdmin(ReadOnlyAdmin):
    """Corrections of layouts: who made which version."""

    list_display = ("number", "experiment", "created_by", "created_at")
    search_fields = ("experiment__name", "experiment__id")
    list_select_related = ("experiment", "created_by")


@admin.register(Inspection)
class InspectionAdmin(ReadOnlyAdmin):
    """Looks at the files of acquisitions."""

    list_display = ("acquisition", "microscope", "state", "created_by", "created_at")
    list_filter = ("state",)
    search_fields = ("acquisition__name", "id")
    list_select_related = ("acquisition", "created_by")


@admin.register(SegmentationUpload)
class SegmentationUploadAdmin(ReadOnlyAdmin):
    """Label images that people uploaded."""

    list_display = ("name", "object_type", "experiment", "state", "created_by", "created_at")
    list_filter = ("state",)
    search_fields = ("name", "experiment__name", "id")
    list_select_related = ("experiment", "created_by")


@admin.register(Mosaic)
class MosaicAdmin(VersionAdmin):
    """Mosaics: where and from which layout."""

    list_display = ("key", "plate", "experiment", "layout_key", "is_current", "created_at")
    list_select_related = ("experiment", "plate")


@admin.register(ObjectSet)
class ObjectSetAdmin(VersionAdmin):
    """Object sets: how many and from which layout."""

    list_display = ("key", "object_type", "plate", "n_objects", "layout_key", "is_current")
    list_select_related = ("object_type", "plate")


@admin.register(Product)
class ProductAdmin(VersionAdmin):
    """Products of steps."""

    list_display = ("name", "key", "step", "experiment", "size", "is_current", "created_at")
    list_select_related = ("experiment",)


@admin.register(
    ExperimentUserGrant,
    ExperimentGroupGrant,
    PlateUserGrant,
    PlateGroupGrant,
    ObjectTypeUserGrant,
    ObjectTypeGroupGrant,
)
class GrantAdmin(ReadOnlyAdmin):
    """Who may do what, to look up; owners change it through the API, which bumps the epoch."""

    list_display = ("content_object", "holder", "permission")
    list_select_related = ("content_object", "permission")
    search_fields = ("content_object__name", "content_object__id")

    @admin.display(description="user or group")
    def holder(self, grant: Any) -> str:
        """Return who has the grant."""
        if hasattr(grant, "user"):
            return str(grant.user)
        return str(grant.group.research_group)
