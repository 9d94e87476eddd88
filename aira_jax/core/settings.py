"""Typed settings: a frozen dataclass holds every option once; a config is made of it, and it of a config."""

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from typing import Any

from ml_collections import config_dict

from aira_jax.core import choices


def placeholders(value: Any) -> dict[str, Any]:
    """The fields of a dataclass instance for a ConfigDict: those that are None take a value of their type later."""
    fields: dict[str, Any] = {}
    for name, hint in _hints(type(value)).items():
        item = getattr(value, name)
        if dataclasses.is_dataclass(item):
            fields[name] = placeholders(item)
        elif isinstance(item, Mapping):
            fields[name] = {key: dict(part) if isinstance(part, Mapping) else part for key, part in item.items()}
        elif item is None:
            fields[name] = _placeholder(hint)
        else:
            fields[name] = str(item) if isinstance(item, enum.StrEnum) else item
    return fields


def blank(cls: type) -> dict[str, Any]:
    """The fields of a dataclass for a ConfigDict, all without a value: an empty mapping, or a place for one scalar."""
    return {name: {} if _is_mapping(hint) else _placeholder(hint) for name, hint in _hints(cls).items()}


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A ConfigDict or another mapping as a dict."""
    return config.to_dict() if isinstance(config, config_dict.ConfigDict) else dict(config)


def build(cls: type, values: Mapping[str, Any], path: str) -> Any:
    """An instance of the dataclass `cls`. Raises ValueError naming the key below `path` and what is valid."""
    hints = _hints(cls)
    for key in values:
        if key not in hints:
            raise ValueError(choices.refusal(f"{path}.{key} is no option", key, hints))
    return cls(**{key: _value(hints[key], value, f"{path}.{key}") for key, value in values.items()})


def _hints(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _is_mapping(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _placeholder(hint: Any) -> Any:
    kind = _kind(hint)
    return config_dict.placeholder(str if issubclass(kind, enum.StrEnum) else kind)


def _value(hint: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return build(hint, value, path)
    if _is_mapping(hint) and isinstance(value, Mapping):
        return dict(value)
    if value is None and types.NoneType in typing.get_args(hint):
        return None
    kind = _kind(hint)
    if issubclass(kind, enum.StrEnum):
        return choices.member(kind, value, path)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{path}={value!r} must be of type {kind.__name__}")
    return value


def _kind(hint: Any) -> type:
    if _is_mapping(hint):
        return dict
    return next(kind for kind in typing.get_args(hint) or (hint,) if kind is not types.NoneType)
