"""The variables of a running pipeline, in the memory where modules want them; entry point: `Values`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers import xp
from gpu_workers.errors import UserError
from gpu_workers.modules.module import Features, Kind
from gpu_workers.pipelines.check import Use
from gpu_workers.pipelines.description import ALL_CHANNELS, Pipeline

NO_FEATURES = Features({}, {})


def scaled(image: NDArray[Any]) -> NDArray[Any]:
    """Return whole-number intensities over the largest value of their type, as float64.

    Examples
    --------
    >>> scaled(np.array([0, 51, 255], np.uint8))
    array([0. , 0.2, 1. ])
    """
    if image.dtype.kind not in "ui":
        return image
    return image / float(np.iinfo(image.dtype).max)


@dataclass(slots=True)
class Values:
    """What each variable holds; arrays are copied to the other memory when first asked for there."""

    pipeline: Pipeline
    channels: tuple[str, ...]
    shape: tuple[int, ...]
    device: str = "cpu"
    _host: dict[str, Any] = field(default_factory=dict)
    _device: dict[str, Any] = field(default_factory=dict)
    _features: dict[str, Features] = field(default_factory=dict)
    _known: dict[str, frozenset[str]] = field(default_factory=dict)

    def fill(
        self,
        channels: Mapping[str, NDArray[Any] | None],
        stacks: Mapping[str, NDArray[Any] | None],
    ) -> None:
        """Take the images of channels, and whole stacks."""
        for part, given in (("*", channels), ("stack", stacks)):
            for name in self.channels:
                image = given.get(name)
                if image is not None and self.pipeline.scale == "unit":
                    image = scaled(image)
                self._place(f"{part}/{name}", image)
        for variable, name in self.pipeline.channels.items():
            self._alias(variable, f"*/{name}")
        for variable, name in self.pipeline.stacks.items():
            self._alias(variable, f"stack/{name}")

    def _place(self, variable: str, value: Any) -> None:
        """Keep an array in the memory where it lies."""
        on_host = value is None or xp.namespace(value) is np
        (self._host if on_host else self._device)[variable] = value

    def _alias(self, variable: str, other: str) -> None:
        for memory in (self._host, self._device):
            if other in memory:
                memory[variable] = memory[other]

    def send(self, uses: Iterable[Use]) -> None:
        """Copy what is there and modules want on the device to it, in one go."""
        wanted = {
            id(self._host[v]): self._host[v]
            for use in uses
            if self.works_on_device(use)
            for v in self._read(use)
            if self._host.get(v) is not None
        }
        there = dict(zip(wanted, xp.to_device_together(list(wanted.values())), strict=True))
        for variable, value in self._host.items():
            if id(value) in there:
                self._device[variable] = there[id(value)]

    def works_on_device(self, use: Use) -> bool:
        """Whether a module works on the device: never in three dimensions, for which it has few halves."""
        return self.device == "gpu" and use.module.device and self.pipeline.dimensions == 2

    def _read(self, use: Use) -> list[str]:
        """Return the variables of images that a use reads."""
        found: list[str] = []
        for handle, variable in use.use.inputs.items():
            kind = use.module.inputs[handle]
            if kind is Kind.CHANNELS:
                several = (variable,) if isinstance(variable, str) else variable
                found += self._named(several).values()
            elif kind is not Kind.FEATURES:
                found.append(str(variable))
        return found

    def put_labels(self, variable: str, labels: NDArray[np.int32], features: Features) -> None:
        """Take a label image and what is known of its objects; what is measured replaces that."""
        self._host[variable] = labels
        self._features[variable] = features
        self._known[variable] = frozenset(features.columns)

    def features(self, variable: str) -> Features:
        """Return what was measured of the objects of a label image; columns may lie on the device."""
        return self._features.get(variable, NO_FEATURES)

    def _measured(self, variable: str) -> Features:
        """Return what was measured, in host memory."""
        if variable in self._features:
            self._features[variable] = _on_host(self._features[variable])
        return self.features(variable)

    def image(self, variable: str) -> Any:
        """Return a variable from the memory where it lies."""
        return self._host[variable] if variable in self._host else self._device[variable]

    def host(self, variable: str) -> Any:
        """Return a variable in host memory."""
        if variable not in self._host:
            self._host[variable] = xp.to_host(self._device[variable])
        return self._host[variable]

    def _at(self, variable: str, *, on_device: bool) -> Any:
        if not on_device:
            return self.host(variable)
        if variable not in self._device:
            value = self._host[variable]
            self._device[variable] = None if value is None else xp.to_device(value)
        return self._device[variable]

    def given(self, use: Use) -> dict[str, Any]:
        """Return the inputs of a use by handle, where its module works."""
        on_device = self.works_on_device(use)
        found: dict[str, Any] = {}
        for handle, variable in use.use.inputs.items():
            kind = use.module.inputs[handle]
            if kind is Kind.CHANNELS:
                several = (variable,) if isinstance(variable, str) else variable
                names = self._named(several)
                found[handle] = {n: self._at(v, on_device=on_device) for n, v in names.items()}
            elif kind is Kind.FEATURES:
                found[handle] = self._measured(str(variable))
            else:
                found[handle] = self._at(str(variable), on_device=on_device)
        return found

    def _named(self, variables: Iterable[str]) -> dict[str, str]:
        """Return name of a channel -> variable, for an input that takes several."""
        names: dict[str, str] = {}
        saved = {i.image: i.name for i in self.pipeline.images}
        for variable in variables:
            if variable == ALL_CHANNELS:
                names.update({name: f"*/{name}" for name in self.channels})
            else:
                name = self.pipeline.channels.get(variable) or saved.get(variable, variable)
                names[name] = variable
        return names

    def put(self, use: Use, outputs: Mapping[str, Any]) -> None:
        """Take what a module made.

        Raises
        ------
        UserError
            A feature of these objects was measured before (``duplicate_feature``).
        """
        for handle, value in outputs.items():
            if use.module.outputs[handle] is Kind.FEATURES:
                self._add(use, value)
                continue
            variable = use.use.outputs[handle]
            self._place(variable, value)

    def _add(self, use: Use, value: Features) -> None:
        variable = use.measured
        before = self.features(variable)
        known = self._known.get(variable, frozenset())
        twice = (before.columns.keys() & value.columns.keys()) - known
        # how many children there are is told by every module that aggregates
        twice = {name for name in twice if not name.startswith("Count_")}
        if twice:
            raise UserError(
                f"{use.where}: {min(twice)} of {variable!r} is measured twice",
                code="duplicate_feature",
            )
        self._features[variable] = Features(
            {**before.columns, **value.columns}, {**before.units, **value.units}
        )
        self._known[variable] = known - value.columns.keys()

    def nothing(self, use: Use) -> dict[str, Any]:
        """Return what a module gives where an image that it needs is missing."""
        return {
            name: np.zeros(self.shape, np.int32) if kind is Kind.LABELS else None
            for name, kind in use.kinds.items()
        }

    def blank(self, use: Use, handles: Iterable[str]) -> dict[str, Any]:
        """Return black images for inputs that are missing, so that features have their names."""
        found: dict[str, Any] = {}
        for handle in handles:
            kind = use.module.inputs[handle]
            shape = (1, *self.shape) if kind is Kind.STACK else self.shape
            image: NDArray[Any] = np.zeros(shape, np.bool_ if kind is Kind.MASK else np.uint16)
            found[handle] = xp.to_device(image) if self.works_on_device(use) else image
        return found

    def without_values(self, use: Use, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return a module's outputs with nothing but the names of what it measured."""
        empty = self.nothing(use)
        makes_labels = Kind.LABELS in use.module.outputs.values()
        for name, value in outputs.items():
            if isinstance(value, Features):
                columns = {
                    n: np.full(0 if makes_labels else np.size(c), np.nan)
                    for n, c in value.columns.items()
                }
                empty[name] = Features(columns, value.units)
        return empty

    def on_host(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return inputs or outputs of a module in host memory."""
        return {name: _on_host(value) for name, value in values.items()}

    def forget(self, variables: Iterable[str]) -> None:
        """Let variables go that nothing needs any more."""
        for variable in variables:
            self._host.pop(variable, None)
            self._device.pop(variable, None)


def _on_host(value: Any) -> Any:
    if value is None:
        return value
    if isinstance(value, Features):
        columns = xp.to_host_together(list(value.columns.values()))
        return Features(dict(zip(value.columns, columns, strict=True)), value.units)
    if isinstance(value, Mapping):
        return {name: _on_host(image) for name, image in value.items()}
    return xp.to_host(value)


def last_uses(pipeline: Pipeline, uses: tuple[Use, ...]) -> list[frozenset[str]]:
    """Return which variables nothing needs after each use."""
    kept = {o.labels for o in pipeline.objects} | {i.image for i in pipeline.images}
    last: dict[str, int] = {}
    for number, use in enumerate(uses):
        for named in (*use.use.inputs.values(), *use.use.outputs.values()):
            for variable in (named,) if isinstance(named, str) else named:
                last[variable] = number
    over: list[set[str]] = [set() for _ in uses]
    for variable, number in last.items():
        if variable not in kept:
            over[number].add(variable)
    return [frozenset(names) for names in over]
