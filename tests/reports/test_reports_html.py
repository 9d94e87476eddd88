"""The HTML report: one file, no network, candidate text inert, bounded size."""

import base64
import dataclasses
import hashlib
import html.parser
import re

import pytest
import synthetic_run

from aira_jax.reports.run import html as report
from aira_jax.runs import view as views
from aira_jax.runs.view import RunView
from aira_jax.search.log import events

VOID = {"meta", "link", "wbr"}


class Page(html.parser.HTMLParser):
    """Elements with their attributes, text by element, and whether tags nest."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.stack, self.texts, self.errors = [], [], {}, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.errors.append((tag, self.getpos()))

    def handle_data(self, data):
        where = self.stack[-1] if self.stack else ""
        self.texts[where] = self.texts.get(where, "") + data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def small_html(small_view):
    return report.render(small_view)


@pytest.fixture(scope="module")
def hostile_html(hostile_run):
    return report.render(RunView.read(hostile_run))


@pytest.fixture(scope="module")
def pages(small_html, hostile_html):
    return {"small": Page(small_html), "hostile": Page(hostile_html)}


@pytest.mark.parametrize("name", ["small", "hostile"])
def test_the_page_is_well_formed_with_unique_ids(pages, name):
    page = pages[name]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert page.errors == []
    assert page.stack == []
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["small", "hostile"])
def test_the_only_script_and_style_are_our_own_and_the_policy_admits_no_other(pages, name):
    page = pages[name]
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    for tag in ("script", "style"):
        (attributes,) = page.all(tag)
        digest = base64.b64encode(hashlib.sha256(page.texts[tag].encode()).digest()).decode()
        assert attributes == {}
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", ["small", "hostile"])
def test_no_attribute_carries_code_style_or_an_address_outside_the_file(pages, name):
    for tag, attributes in pages[name].elements:
        assert not any(key.startswith("on") or key in ("style", "src", "srcset", "action") for key in attributes), tag
        if "href" in attributes:
            assert re.fullmatch(r"#[\w-]+|data:,", attributes["href"])


def test_no_address_of_the_network_stands_in_the_file(small_html):
    assert "://" not in small_html


def test_hostile_text_is_shown_as_text(pages, hostile_html):
    assert "<script>document.title='owned'" not in hostile_html
    assert "<script>document.title='owned'</script>" in pages["hostile"].texts["pre"]
    assert "<b>odd & name</b>.txt" in pages["hostile"].texts["summary"]
    assert "\x1b" not in hostile_html
    assert "\u202e" not in hostile_html


def test_every_link_leads_to_something(pages):
    page = pages["small"]
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {a["href"][1:] for a in page.all("a")} <= ids


def test_every_node_has_a_mark_a_row_and_an_article(pages, small_view):
    page = pages["small"]
    articles = [a["id"] for a in page.all("article")]
    marks = [a["data-node"] for a in page.all("a") if "data-node" in a]
    assert articles == [f"node-{node.id}" for node in small_view.tree.nodes]
    assert marks == [str(node.id) for node in small_view.tree.nodes]


def test_marks_say_status_by_shape_colour_and_words(pages, small_view):
    marks = {int(a["data-node"]): a for a in pages["small"].all("a") if "data-node" in a}
    for node in small_view.tree.nodes:
        kinds = {"good", "best"} if node.is_good else {str(node.status)}
        assert set(marks[node.id]["class"].split()) & kinds
        outcome = node.failure_class or f"{node.fitness:.4f}"
        assert outcome in marks[node.id]["aria-label"]
    submitted = [node for node, mark in marks.items() if mark["aria-label"].endswith("submitted")]
    assert submitted == [small_view.submitted.node.id]


def test_the_page_states_what_a_reader_must_know(small_html, small_view):
    for words in (
        "greedy-opus",
        "0.1.0+g1a2b3c4",
        "stopped: steps",
        "net: NOT isolated",
        "network not isolated: unshare: Operation not permitted",
        "in-context-recall",
        f"{small_view.best.node.fitness:.4f}",
        "claude-opus-4-5",
    ):
        assert words in small_html


def test_repeated_test_scores_of_the_submission_are_a_mean_and_a_range(small_html, small_view):
    score = small_view.tests.scores[small_view.submitted.node.id]
    values = [score.value, *score.repeats.values()]
    assert len(values) == 3
    assert f"<dd>{sum(values) / 3:.4f}</dd>" in small_html
    assert f"mean of 3 seeds, {min(values):.4f} to {max(values):.4f}</dd>" in small_html


def test_the_same_log_gives_the_same_page(small_run, small_html):
    assert report.render(RunView.read(small_run)) == small_html


@pytest.mark.parametrize("is_test", [True, False])
def test_a_task_without_a_test_split_says_so(small_view, is_test):
    view = dataclasses.replace(small_view, start={**small_view.start, "validation_is_test": is_test})
    assert ("Validation is test." in report.render(view)) is is_test


@pytest.mark.parametrize("surrogate", [True, False])
def test_a_surrogate_is_named_in_the_title_and_in_a_notice(small_view, surrogate):
    extra = {"data": "AAN surrogate (1,665 papers)", "surrogate": surrogate}
    first = small_view.first_draft
    changed = dataclasses.replace(first, node=dataclasses.replace(first.node, result={"extra": extra}))
    nodes = tuple(changed if view is first else view for view in small_view.nodes)
    text = report.render(dataclasses.replace(small_view, nodes=nodes))
    assert ("<b>AAN surrogate (1,665 papers)</b> stands in for" in text) is surrogate
    assert (" on AAN surrogate (1,665 papers)," in text.partition("</title>")[0]) is surrogate


def test_unpriced_calls_are_called_unpriced_in_every_total(hostile_html):
    assert "Unpriced: add config.llm.prices for claude-opus-4-5." in hostile_html
    assert "unpriced" in hostile_html
    assert "$0." not in hostile_html


def test_500_nodes_with_large_outputs_stay_under_20_mb(tmp_path):
    shape = synthetic_run.Shape(nodes=500, output_lines=400, hostile=True)
    text = report.render(RunView.read(synthetic_run.write(tmp_path / "run", shape)))
    assert len(text.encode()) < 20_000_000
    assert "left out here; all of it: nodes/0499/output.txt" in text


def test_a_smaller_bound_gives_a_smaller_page(small_view, small_html):
    assert len(report.render(small_view, max_bytes=30_000)) < 0.75 * len(small_html)


def test_a_run_without_nodes_has_a_page(small_run):
    view = views.fold(events.read(small_run)[:3], events.Blobs(small_run / "blobs"))
    page = Page(report.render(view))
    assert page.errors == []
    assert page.all("article") == []
