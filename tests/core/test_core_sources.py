import pytest

from aira_jax.core import sources


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "lra").mkdir()
    files = {
        "lra/__init__.py": "",
        "lra/a.py": "from lra import b\n\ndef f():\n    from lra.d import x\n",
        "lra/b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lra import c\n",
        "lra/c.py": "",
        "lra/d.py": "import os\nfrom .b import y\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    sources.imports.cache_clear()
    yield tmp_path
    sources.imports.cache_clear()


def test_a_closure_follows_imports_in_functions_but_not_those_for_type_checkers(project):
    assert sources.closure(["lra.a"]) == ("lra", "lra.a", "lra.b", "lra.d")


def test_editing_a_module_changes_the_digest_of_what_reaches_it_and_of_nothing_else(project):
    before = {name: sources.digest([f"lra.{name}"]) for name in "abcd"}
    (project / "lra/d.py").write_text("import os\nfrom .b import z\n")
    sources.imports.cache_clear()
    after = {name: sources.digest([f"lra.{name}"]) for name in "abcd"}
    assert {name for name in "abcd" if before[name] != after[name]} == {"a", "d"}


def test_a_module_that_is_left_out_is_not_followed(project):
    assert sources.closure(["lra.a"], without=["lra.d"]) == ("lra", "lra.a", "lra.b")


def test_an_unknown_module_is_refused():
    with pytest.raises(ValueError, match=r"lra\.nothing is no module of"):
        sources.closure(["lra.nothing"])


def test_everything_that_a_pattern_module_reaches_is_found_in_the_real_project():
    assert "aira_jax.primitives.attention" in sources.closure(["aira_jax.proxies.proxy_model"])
