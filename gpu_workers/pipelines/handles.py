"""Files of projects of TissueMAPS before version 1; entry points: `read_project` and `read_handles`.

They come from people we don't know: size, depth and number of parts are bounded, YAML's aliases and
tags are refused, and nothing outside the project's folder is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gpu_workers.errors import UserError
from gpu_workers.pipelines.description import MAX_USES
from gpu_workers.pipelines.text import MAX_TEXT, load_yaml

PIPELINE: Final = "pipeline.yaml"
_SUFFIX: Final = ".handles.yaml"

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$")]
Version = Annotated[str, BeforeValidator(lambda value: "" if value is None else str(value))]
Text = Annotated[str, Field(max_length=4000), BeforeValidator(lambda value: value or "")]


class _Part(BaseModel):
    """Part of a file; what it says besides (help, options) does not matter here."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def _several(value: Any) -> Any:
    return [] if value is None else value


class Channel(_Part):
    name: Name
    correct: bool = False


class Given(_Part):
    name: Name


class ProjectInput(_Part):
    channels: Annotated[tuple[Channel, ...], BeforeValidator(_several)] = ()
    objects: Annotated[tuple[Given, ...], BeforeValidator(_several)] = ()


class Saved(_Part):
    name: Name
    as_polygons: bool = True


class ProjectOutput(_Part):
    objects: Annotated[tuple[Saved, ...], BeforeValidator(_several)] = ()
    images: Annotated[tuple[Given, ...], BeforeValidator(_several)] = ()


class Use(_Part):
    source: Name
    handles: Name
    active: bool = True


class Project(_Part):
    """What ``pipeline.yaml`` says."""

    description: Text = ""
    version: Version = ""
    input: Annotated[ProjectInput, BeforeValidator(lambda v: v or {})] = ProjectInput()
    pipeline: tuple[Use, ...] = Field(max_length=MAX_USES)
    output: Annotated[ProjectOutput, BeforeValidator(lambda v: v or {})] = ProjectOutput()


class Handle(_Part):
    """One input or output of a module: a constant has a value, an image a key."""

    name: Name
    type: Name
    key: Name | None = None
    value: Any = None


class HandlesFile(_Part):
    """What a file of handles says.

    Attributes
    ----------
    file, name
        Where it lies in the project; what the use of the module is called.
    """

    file: str
    name: str
    version: Version = ""
    input: Annotated[tuple[Handle, ...], BeforeValidator(_several)] = ()
    output: Annotated[tuple[Handle, ...], BeforeValidator(_several)] = ()


P = TypeVar("P", bound=_Part)


def _wrong(file: str, told: str) -> UserError:
    return UserError(
        f"the project cannot be converted: {file}: {told}", code="invalid_project", files=(file,)
    )


def _load(folder: Path, file: str) -> dict[str, Any]:
    """Return what a file of the folder says; refuses files that lie elsewhere."""
    try:
        path = (folder / file).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise _wrong(file, "there is no such file") from error
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise _wrong(file, "it is no file in the project's folder")
    if path.stat().st_size > MAX_TEXT:
        raise _wrong(file, f"it is larger than the {MAX_TEXT} bytes that are read")
    try:
        data = load_yaml(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _wrong(file, "it is no text in UTF-8") from error
    except UserError as error:
        raise _wrong(file, error.message.removeprefix("the pipeline is malformed: ")) from error
    if not isinstance(data, dict):
        raise _wrong(file, "it is no mapping of keys to values")
    return data


def _read(model: type[P], file: str, data: dict[str, Any]) -> P:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise _wrong(file, told) from error


def read_project(folder: Path) -> Project:
    """Read a project's ``pipeline.yaml``.

    Raises
    ------
    UserError
        It is missing, no YAML, too large or malformed (``invalid_project``); names file and key.
    """
    return _read(Project, PIPELINE, _load(folder, PIPELINE))


def read_handles(folder: Path, file: str) -> HandlesFile:
    """Read one of a project's files of handles; the use of the module is called like the file.

    Raises
    ------
    UserError
        As `read_project`.
    """
    name = Path(file).name.removesuffix(_SUFFIX).removesuffix(".yaml")
    return _read(HandlesFile, file, _load(folder, file) | {"file": file, "name": name})
