"""What control and workers tell each other: frozen, validated, versioned JSON.

A job is one `JobSpec` in and one `JobResult` out. Neither names a database row's content, a
credential or (but for registered folders) an absolute path, so that a job can be replayed from its
``spec.json`` anywhere the experiment's folder is mounted.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Json = dict[str, Any]
# The database keeps no text with a NUL.
_TEXT = r"^[^\x00]*$"


class Message(BaseModel):
    """Base of all messages: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AcquisitionDescription(Message):
    """One acquisition: a folder of microscope files of one plate."""

    id: UUID
    name: str
    plate: UUID
    plate_name: str
    index: int = Field(ge=0, description="order of the acquisition within its plate")
    folder: str = Field(description="absolute if registered, else relative to the experiment root")
    microscope: str | None = Field(None, description="reader to use; None: detect")
    pattern: str | None = Field(None, description="regular expression with named groups")


class ChannelCorrection(Message):
    """Another name or colour for a channel, named as the uncorrected layout does."""

    channel: str = Field(max_length=300, pattern=_TEXT)
    name: str | None = Field(None, min_length=1, max_length=64, pattern=_TEXT)
    color: str | None = Field(None, pattern=r"^#[0-9a-fA-F]{6}$")


class WellCorrection(Message):
    """Another place for all sites of a well; without `to` the well is left out."""

    plate: UUID
    well: str = Field(max_length=20, pattern=_TEXT)
    to: str | None = Field(None, max_length=20, pattern=_TEXT)


class SiteCorrection(Message):
    """Another well or place for one site, named by the uncorrected layout; `omit` leaves it out.

    `cell` is row and column, from 0, in the grid of the well's sites.
    """

    plate: UUID
    well: str = Field(max_length=20, pattern=_TEXT)
    site: str = Field(max_length=300, pattern=_TEXT)
    to_well: str | None = Field(None, max_length=20, pattern=_TEXT)
    cell: tuple[int, int] | None = None
    omit: bool = False


class GridCorrection(Message):
    """How the sites of a plate's wells are ordered, instead of stage positions."""

    plate: UUID
    stitch_layout: Literal["horizontal", "zigzag_horizontal", "vertical", "zigzag_vertical"] = (
        "horizontal"
    )
    n_vertical: int | None = Field(None, ge=1, le=1000)
    n_horizontal: int | None = Field(None, ge=1, le=1000)


class LayoutCorrections(Message):
    """What a person changed of the layout that metaconfig found; rewrites no pixel."""

    channels: tuple[ChannelCorrection, ...] = ()
    wells: tuple[WellCorrection, ...] = ()
    sites: tuple[SiteCorrection, ...] = ()
    grids: tuple[GridCorrection, ...] = ()


class ExperimentDescription(Message):
    """What a step may know of the experiment's rows."""

    id: UUID
    name: str
    plate_format: int = 96
    acquisition_mode: Literal["basic", "multiplexing"] = "basic"
    acquisitions: tuple[AcquisitionDescription, ...] = ()
    corrections: LayoutCorrections = LayoutCorrections()


class Limits(Message):
    """Hard limits of one attempt."""

    time_s: int = 6 * 3600
    memory_mb: int = 6000


class JobSpec(Message):
    """Everything a worker needs to do one job; stored as ``spec.json`` in the attempt's folder."""

    version: Literal[1] = 1
    job: UUID
    attempt: int = Field(ge=1)
    kind: Literal["plan", "run", "collect", "tool", "inspect", "preview", "segment"]
    name: str = Field(description="step or tool")
    experiment: ExperimentDescription
    key: str = Field("", description="version of what the step run builds; empty while planning")
    backend: Literal["cpu", "gpu"] = "cpu"
    arguments: Json = Field(default_factory=dict)
    inputs: dict[str, str] = Field(
        default_factory=dict, description="product name -> manifest path below the experiment root"
    )
    round: int = 0
    index: int = 0
    batch: Json = Field(default_factory=dict)
    limits: Limits = Limits()


class Plan(Message):
    """What a step will do: batches of each round (a barrier stands between rounds)."""

    key: str
    rounds: tuple[tuple[Json, ...], ...]
    collect: bool = True
    bytes_to_write: int = 0


class Problem(Message):
    """Something wrong with the input that did not stop the job."""

    severity: Literal["warning", "error"] = "warning"
    code: str
    message: str
    files: tuple[str, ...] = ()


class JobError(Message):
    """Why a job failed."""

    code: str
    message: str
    files: tuple[str, ...] = ()
    user: bool = Field(description="a user can mend it; not retried")


class JobResult(Message):
    """Outcome of one attempt; stored as ``result.json`` in the attempt's folder."""

    version: Literal[1] = 1
    job: UUID
    attempt: int
    state: Literal["succeeded", "failed", "killed"]
    plan: Plan | None = None
    output: Json = Field(default_factory=dict)
    products: dict[str, str] = Field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    error: JobError | None = None
    code_version: str = ""
    started_at: datetime
    ended_at: datetime
    cpu_s: float = 0.0
    peak_memory_mb: float = 0.0


class FlatField(Message):
    """How the microscope's own software says the illumination of a channel is shaped.

    Attributes
    ----------
    kind
        "polynomial" of the places below, or "files": images below the acquisition's folder.
    coefficients
        Row i holds the factors of x^i, x^(i-1) y, … y^i, where x = (column - origin[1]) * scale[1] and
        y = (row - origin[0]) * scale[0]; column and row are px from the centre of the upper left pixel.
        Their sum is the relative brightness: what is corrected is divided by it.
    origin, scale
        (y, x), px and 1/px.
    flat_file
        Image of even light, to divide by after taking `dark_file` off both.
    dark_file
        Image of the camera without light, subtracted before.
    """

    kind: Literal["polynomial", "files"]
    coefficients: tuple[tuple[float, ...], ...] = ()
    origin: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)
    flat_file: str | None = None
    dark_file: str | None = None
