"""Variants of a config file, `<name>[,<key>=<value>...]`, applied to its ConfigDict with the types that it declares."""

import ast
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import config_dict

from aira_jax.core import choices

Values = Mapping[str, Any]  # dotted key -> value; text is read as the type of its option


def apply(
    config: config_dict.ConfigDict,
    variant: str,
    *,
    file: str,
    named: Callable[[str], Values],
    words: Mapping[str, Callable[[str], Values]],
) -> config_dict.ConfigDict:
    """`config` with what `variant` says: the values of its name, then its options in order.

    `file` is named in messages. `named` gives the values of the variant's name; `words` those of an option `word=value`
    that is no key of the config. Raises: ValueError for an option without `=`, an unknown key, a value of another type.
    """
    name, *options = variant.split(",")
    _update(config, named(name))
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise ValueError(f"{file}:{variant}: {option!r} must be written key=value")
        _update(config, words[key](value) if key in words else {key: value})
    return config


def _update(config: config_dict.ConfigDict, values: Values) -> None:
    for key, value in values.items():
        *heads, name = key.split(".")
        group = config
        for head in heads:
            group = _member(group, head, key)
        if isinstance(group, config_dict.ConfigDict) and not group.is_locked:
            group[name] = _literal(value) if isinstance(value, str) else value
        else:
            _member(group, name, key)
            group[name] = _typed(value, group.get_type(name), key) if isinstance(value, str) else value


def _member(group: Any, name: str, key: str) -> Any:
    known = group if isinstance(group, config_dict.ConfigDict) else ()
    if name not in known:
        raise ValueError(choices.refusal(f"config.{key} is no option", name, known))
    return group[name]


def _typed(text: str, kind: type, key: str) -> Any:
    if kind is config_dict.ConfigDict:
        raise ValueError(f"config.{key} is a group of options: write {key}.<option>={text}")
    if kind not in (bool, int, float, str):
        raise ValueError(f"config.{key} is a {kind.__name__}, which no variant can spell: set it in a config file")
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise ValueError(f"config.{key}={text!r} must be of type {kind.__name__}") from None


def _literal(text: str) -> Any:
    """For a group that takes any key: a number or True/False as such, anything else as text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
