"""What every HTML file of this package has in common: escaped templates, styles that travel inside, and its policy."""

import base64
import hashlib
import re
from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup

from aira_jax.core.formatting import number
from aira_jax.core.text import one_line, visible
from aira_jax.patterns import registry


@cache
def template(name: str) -> jinja2.Template:
    """A template of this package. Every text is escaped; a name that the caller forgot is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("aira_jax.reports", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"visible": visible, "one_line": one_line, "number": number, "camel": _breakable}
    return environment.get_template(name)


@cache
def asset(name: str) -> Markup:
    """A style or script of this package, fit to stand inside its element."""
    return Markup(resources.files("aira_jax.reports").joinpath(name).read_text(encoding="utf-8"))


def own_colours() -> Markup:
    """The colours of primitives that were registered from outside; the style sheets know the others."""
    rows = (row for row in map(registry.get, registry.tokens()) if not row.spaces)
    return Markup("".join(f".p-{row.token} {{ fill: {row.colour}; }}\n" for row in rows))


def policy(style: str, script: str = "") -> str:
    """A content security policy that admits this style and this script, by their hashes, and nothing else."""
    scripts = f"script-src '{_hash(script)}'; " if script else ""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; {scripts}img-src data:; base-uri 'none'; form-action 'none'"
    )


def _breakable(name: str) -> Markup:
    """A long CamelCase name that may break before its capitals."""
    return Markup("<wbr>").join(re.findall(r"[A-Z]*[^A-Z]*", visible(name))[:-1])


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
