"""A search that asks a provider over HTTP: cost, retries, a refused key."""

import fake_server as fake
import pytest
from search_lab import answer, records, search, tree

from aira_jax.search.run import Exit

KEY = "sk-ant-secret-0123456789"


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def ask(server, tmp_path, **options):
    backend = {"llm__backend": "anthropic", "llm__model": "claude-opus-4-6", "llm__base_url": server.url}
    return search(tmp_path, **backend, **options)


def test_usage_and_dollars_of_a_call_reach_the_tree(lab, tmp_path):
    with fake.serve(lambda call: fake.anthropic(answer(0.7))) as server:
        done = ask(server, tmp_path, policy__name="one_shot")
    node = tree(done.folder).nodes[0]
    assert done.exit is Exit.DONE
    assert (node.usage.cache_read, node.usage.cache_write_5m, node.usage.cache_write_1h) == (21000, 8000, 500)
    assert node.usd == pytest.approx((1200 * 5 + 8000 * 6.25 + 500 * 10 + 21000 * 0.5 + 3400 * 25) / 1e6)
    assert done.folder.parent.name == "one_shot-claude-opus-4-6"


def test_an_overloaded_provider_is_asked_again(lab, tmp_path):
    script = [fake.Reply(529, b"{}", {"retry-after": "0"}), fake.anthropic(answer(0.7))]
    with fake.serve(script) as server:
        done = ask(server, tmp_path, policy__name="one_shot")
    assert tree(done.folder).nodes[0].is_good
    warnings = [r for r in records(done.folder) if r["kind"] == "warning"]
    assert [r["code"] for r in warnings] == ["llm_retry"]


def test_a_refused_key_is_exit_3_and_appears_in_no_log(lab, tmp_path):
    body = b'{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key %s"}}' % KEY.encode()
    with fake.serve(lambda call: fake.Reply(401, body)) as server:
        done = ask(server, tmp_path)
        assert (done.exit, done.stopped.reason) == (Exit.LLM_STOP, "auth")
        assert "ANTHROPIC_API_KEY" in done.stopped.detail
    assert len(server.calls) == 1
    log = b"".join(path.read_bytes() for path in done.folder.rglob("*") if path.is_file())
    assert KEY.encode() not in log
    with fake.serve(lambda call: fake.anthropic(answer(0.7))) as server:
        again = ask(server, tmp_path, budget__steps=1)
    assert again.exit is Exit.DONE
    assert tree(again.folder).nodes[0].is_good


def local(server, tmp_path, **options):
    backend = {"llm__backend": "openai_compat", "llm__model": "m", "llm__base_url": server.url}
    return search(tmp_path, **backend, **options)


@pytest.mark.parametrize("status", [400, 404])
def test_a_dead_configuration_stops_before_anything_counts_and_a_mended_one_goes_on(lab, tmp_path, status):
    with fake.serve(lambda call: fake.openai_error(status, "model_not_found", "no such model")) as server:
        done = local(server, tmp_path, budget__steps=3)
    assert (done.exit, done.stopped.reason) == (Exit.LLM_STOP, "error")
    assert "config.llm" in done.stopped.detail
    assert len(tree(done.folder).commits) == 0
    with fake.serve(lambda call: fake.openai(answer(0.7))) as server:
        again = local(server, tmp_path, budget__steps=1)
    assert again.exit is Exit.DONE
    assert tree(again.folder).nodes[0].is_good


def test_after_a_first_answer_a_bad_request_is_that_nodes_failure(lab, tmp_path):
    script = [fake.openai(answer(0.7)), fake.openai_error(400, "bad", "too hot"), fake.openai(answer(0.2))]
    with fake.serve(script) as server:
        done = local(server, tmp_path, budget__steps=3)
    assert done.exit is Exit.DONE
    assert [node.failure_class for node in tree(done.folder).nodes] == [None, "llm", None]


def test_every_further_try_must_fit_into_the_budget(lab, tmp_path):
    usage = {"prompt_tokens": 59_000, "completion_tokens": 100, "total_tokens": 59_100}
    with fake.serve(lambda call: fake.openai("x", finish="error", usage=usage)) as server:
        done = local(server, tmp_path, budget__tokens=60_000, llm__max_tokens=1000)
        assert len(server.calls) == 1
    assert (done.exit, done.stopped.reason) == (Exit.DONE, "tokens")
    assert tree(done.folder).nodes[0].usage.tokens == 59_100


def test_a_broken_off_answer_is_never_evaluated(lab, tmp_path):
    script = [fake.openai(answer(0.9), finish="incomplete"), fake.openai(answer(0.2))]
    with fake.serve(script) as server:
        done = local(server, tmp_path, budget__steps=1)
    assert tree(done.folder).nodes[0].files["answer.txt"].startswith("x=0.2")
