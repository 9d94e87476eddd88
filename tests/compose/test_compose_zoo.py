"""The zoo against the published table, and its own promises."""

import contextlib
import io

import pytest

from aira_jax.compose import dims, zoo, zoo_contradictions, zoo_table
from aira_jax.compose.extrapolate import stack, stretch
from aira_jax.compose.zoo_contradictions import Kind
from aira_jax.patterns import parse


def test_fourteen_aira_models_and_seven_baselines_at_three_scales():
    aira = [name for name, _ in zoo.models() if name.startswith("AIRA")]
    assert (len(aira), len(zoo.models()) - len(aira), len(zoo.scaled())) == (14, 7, 63)
    assert len(zoo.names()) == len(set(zoo.names())) == 15


@pytest.mark.parametrize("name, variant, scale, build, counts, non_embedding", [
    ("AIRAformer-D", "stretched", "1B", "5(6A-3M)-3A", (33, 15, 0), 1_101_105_152),
    ("AIRAformer-A", "stretched", "1B", "2(A-M-2A-2M)-4(2A-2M)-4M", (14, 18, 0), 1_052_837_888),
    ("Composite", "stacked", "1B", "4(2A-4M)-A-2M", (9, 18, 0), 1_000_398_848),
    ("AIRAhybrid-D", "stretched", "1B", "4Mb-2M-2Mb-3(2M-2Mb-2M-2A)", (6, 14, 12), 1_077_792_000),
    ("AIRAhybrid-D", "stacked", "3B", "2(2Mb-M-Mb-3(M-Mb-M-A))-3(Mb-M)-A", (7, 17, 15), 2_979_428_064),
    ("Nemotron-2", None, "3B", "2(3(Mb-M)-Mb-A-M)-Mb-M-Mb-A-6(M-Mb)-A-M-Mb", (4, 16, 17), 2_907_739_424),
    ("Composer", None, "1B", "7(2Mb-M-3A)-2Mb-M", (21, 8, 16), 1_036_504_064),
])  # fmt: skip
def test_spot_values(name, variant, scale, build, counts, non_embedding):
    model = zoo.get(name, variant=variant, scale=scale)
    assert model.build == parse(build)
    assert tuple(model.counts.values()) == counts
    assert model.params.non_embedding == non_embedding


def test_printed_values_are_those_of_the_published_table(published):
    rows = [row for row in published("patterns.csv") if row["scale"] != "base"]
    assert len(rows) == 63
    for row in rows:
        model = zoo.get(row["architecture"], variant=row["variant"], scale=row["scale"])
        assert model.printed == row["pattern"]
        assert model.printed_layers == int(row["L_printed"])
        assert model.printed_counts == {p: int(row[p]) for p in ("A", "M", "Mb")}
        assert model.printed_params == (float(row["params_nonembedding_b"]), float(row["params_total_b"]))


def test_bases_are_those_of_the_published_table(published):
    rows = [row for row in published("patterns.csv") if row["scale"] == "base"]
    assert len(rows) == 12
    for row in rows:
        base = zoo.get(row["architecture"], variant=row["variant"], scale="base")
        assert base.printed == row["pattern"]
        assert len(base.build) == int(row["L_printed"])
        assert base.counts == {p: int(row[p]) for p in ("A", "M", "Mb")}


def test_every_build_has_the_printed_layers_and_all_but_one_the_printed_counts():
    assert all(len(m.build) == m.printed_layers for m in zoo.scaled())
    assert [(m.key, m.scale) for m in zoo.scaled() if m.counts != m.printed_counts] == [("Composite (Stacked)", "1B")]


def test_only_contradictory_patterns_are_changed():
    wrong = [m for m in zoo.scaled() if not m.agrees]
    assert len(wrong) == 18
    assert all(m.note for m in wrong)
    for m in zoo.scaled():
        kept = parse(m.printed) == m.build
        assert kept == (m.agrees or (m.key, m.scale) == ("Composite (Stacked)", "1B"))


def test_parameters_agree_with_the_printed_ones():
    exact = 0
    for m in zoo.scaled():
        computed = [round(n / 1e9, 2) for n in m.params]
        assert all(abs(n / 1e9 - printed) < 0.011 for n, printed in zip(m.params, m.printed_params, strict=True))
        exact += computed == list(m.printed_params)
    assert exact == 55


def test_composite_is_what_the_extrapolator_makes_of_its_bases():
    for scale in dims.SCALES:
        short, long = (zoo.get("Composite", variant=v, scale="base").build for v in ("stacked", "stretched"))
        assert zoo.get("Composite", variant="stacked", scale=scale).build == stack(short, scale=scale, space=2)
        with pytest.warns() if scale == "350M" else contextlib.nullcontext():
            assert zoo.get("Composite", variant="stretched", scale=scale).build == stretch(long, scale=scale, space=2)


def test_keys_join_the_result_tables(published):
    keys = {m.key for m in zoo.scaled()}
    for table in ("results_1b.csv", "dclm_core_1b.csv"):
        assert {row["architecture"] for row in published(table)} == keys


def test_check_prints_every_contradiction():
    out = io.StringIO()
    wrong = zoo.check(out)
    text = out.getvalue()
    assert len(wrong) == 18
    assert all(m.printed in text and m.build.source in text and m.note in text for m in wrong)
    assert text.endswith("45 of 63 printed patterns agree with their counts\n")


def test_contradictions_between_tables_are_computed():
    where = {kind: [c.where for c in zoo_contradictions.find() if c.kind is kind] for kind in Kind}
    assert where[Kind.STEPS] == [
        "Nemotron-2 (Approx.), 350M",
        "AIRAhybrid-A (Stretched), 350M",
        "AIRAhybrid-B (Stacked), 350M",
        "AIRAhybrid-C (Stretched), 350M",
        "AIRAhybrid-E (Stretched), 350M",
        "AIRAhybrid-E (Stacked), 350M",
        "AIRAhybrid-C (Stretched), 3B",
    ]
    assert where[Kind.NO_PATTERN] == ["Composer (M-2Mb-2A-M), 1B"]
    assert where[Kind.ROUNDING] == ["Composite (Stacked), 3B"]
    assert len(where[Kind.RATIO]) == len(where[Kind.SUM]) == 7
    astray = [c.where for c in zoo_contradictions.find() if c.kind is Kind.RATIO and "which" not in c.words]
    assert astray == ["AIRAformer-C (Stretched), 1B", "AIRAformer-C (Stretched), 3B"]


def test_a_table_without_a_slip_has_no_contradiction(monkeypatch):
    key = "AIRAformer-C", "stretched", "1B"
    monkeypatch.setattr(zoo_table, "RATIOS", {key: 2.2})
    monkeypatch.setattr(zoo_table, "STEP_COUNTS", {key: (33, 15, 0)})
    assert {c.kind for c in zoo_contradictions.find()} == {Kind.SUM, Kind.ROUNDING}


def test_step_counts_and_ratios_are_those_of_the_published_tables(published):
    steps = {(row["architecture"], row["scale"]): (int(row["A"]), int(row["M"]), int(row["Mb"]))
             for row in published("isoflop_steps.csv")}  # fmt: skip
    here = {(n if v == zoo.ONLY else f"{n} ({v.capitalize()})", s): c for (n, v, s), c in zoo_table.STEP_COUNTS.items()}
    assert {key: c for key, c in here.items() if key != ("AIRAhybrid-C (Stretched)", "3B")}.items() <= steps.items()
    ratios = {(row["architecture"], row["variant"], row["scale"]): float(row["am_ratio_printed"].removesuffix(":1"))
              for row in published("patterns.csv") if row["am_ratio_printed"]}  # fmt: skip
    assert ratios == zoo_table.RATIOS


def test_a_base_is_shared_by_the_variants():
    both = [zoo.get("AIRAformer-C", variant=v, scale="base").build for v in (None, "stacked", "stretched")]
    assert both == 3 * [parse("2A-M-A-M-A-M-A-M-2A-M-4A")]
    assert zoo.get("AIRAformer-C", scale="base").params is None


@pytest.mark.parametrize(
    "name, args, words",
    [
        ("AIRAfomer-C", {"scale": "1B"}, ['did you mean "AIRAformer-C"', "Llama 3.2"]),
        ("AIRAformer-C", {"scale": "1B"}, ["stacked and stretched", "variant='stacked'"]),
        ("AIRAformer-C", {"scale": "base", "variant": "strechted"}, ['did you mean "stretched"']),
        ("AIRAhybrid-A", {"scale": "1B", "variant": "stacked"}, ["AIRAhybrid-A", "valid: stretched"]),
        ("Composite", {"scale": "base"}, ["stacked and stretched"]),
        ("Llama 3.2", {"scale": "base"}, ["no base pattern", "350M, 1B, 3B"]),
        ("Llama 3.2", {"scale": "7B"}, ["'7B'", "350M, 1B, 3B"]),
    ],
)
def test_bad_input_names_the_mend(name, args, words):
    with pytest.raises(ValueError) as error:
        zoo.get(name, **args)
    assert all(word in str(error.value) for word in words), str(error.value)
