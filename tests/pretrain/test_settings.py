"""Designs, schedules, meshes and bad input: each refusal names what would do."""

import json

import jax
import numpy as np
import pytest
import tiny
from jax.sharding import AbstractMesh, AxisType
from jax.sharding import PartitionSpec as P

from aira_jax.compose import dims, zoo
from aira_jax.configs import pretrain
from aira_jax.pretrain import sharding
from aira_jax.pretrain.schedule import Decay, learning_rate, warmup_steps
from aira_jax.pretrain.settings import Model, Settings, design
from aira_jax.pretrain.train import train


def chosen(variant: str):
    return design(Settings.of(pretrain.get_config(variant)).model)


def test_every_architecture_is_a_variant_at_every_scale():
    for slug, (name, variant) in zoo.slugs().items():
        for scale in ("350m", "1b", "3b"):
            model = zoo.get(name, variant=variant, scale=scale.upper())
            found = chosen(f"{scale},arch={slug}")
            assert (found.pattern, found.dims) == (model.build, dims.get(scale.upper(), model.space))
        assert chosen(f"debug,arch={slug}").dims.d_model == 128
    assert chosen("1b").arch == "llama_3_2"


def test_the_space_is_asked_for_and_not_guessed():
    with pytest.raises(ValueError, match="space is missing"):
        chosen("350m,pattern=8(A-M)")
    widths = [chosen(f"350m,pattern=8(A-M),space={space}").dims.mlp_hidden for space in (2, 3)]
    assert widths == [4096, 6144]


@pytest.mark.parametrize(
    "variant, told",
    [
        ("debgu", 'did you mean "debug"'),
        ("debug,arch=airahybird_d_str", 'did you mean "airahybrid_d_str"'),
        ("debug,pattern=2(A-M)-X", "X"),
        ("debug,arch=mamba,pattern=A-M", "both given"),
        ("debug,stepps=3", 'did you mean "steps"'),
        ("debug,batch=0", "at least 1"),
        ("debug,model.remat=blocks", 'did you mean "block"'),
        ("debug,model.scale=2B", "unknown scale"),
    ],
)
def test_names_that_do_not_exist_are_refused_with_the_nearest(variant, told):
    with pytest.raises(ValueError, match=told):
        chosen(variant)


@pytest.mark.parametrize(
    "option, told",
    [
        ("batch=7,mesh.replica=1,mesh.fsdp=3", "use 1 x 1"),
        ("microbatch=3", r"legal \(microbatch, accumulation\): \(1, 8\), \(2, 4\), \(4, 2\), \(8, 1\)"),
        ("steps=14", "give at least 15 steps"),
        ("attention=cudnn", "use dense or blocked"),
        ("model.vocab=200", "set model.vocab"),
    ],
)
def test_a_run_that_cannot_be_is_refused_and_writes_nothing(option, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        train(tiny.settings("pattern=A-M", *option.split(",")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(tmp_path):
    result = train(tiny.settings("pattern=A-M", "optimizer.peak=1e30", "optimizer.clip=1e30"), tmp_path / "run")
    assert result["status"] == "diverged"
    assert "loss nan" in result["reason"] or "inf" in result["reason"] or "nan" in result["reason"]
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "diverged"


def test_warm_up_is_two_percent_within_bounds():
    assert [warmup_steps(steps) for steps in (71_565, 1_504, 200_000)] == [1_431, 100, 2_000]


def test_schedules_rise_to_the_peak_and_end_where_they_say():
    steps, warmup = 1_000, 100
    for decay, end in ((Decay.COSINE, 0.1), (Decay.WSD, 0.0)):
        rate = learning_rate(decay, 2.0, steps, warmup)
        values = np.array([float(rate(t)) for t in (0, warmup - 1, warmup, steps - 1)])
        np.testing.assert_allclose(values, [2.0 / warmup, 2.0, 2.0, 2.0 * end], atol=1e-6)
    flat = learning_rate(Decay.WSD, 2.0, steps, warmup)
    assert float(flat(799)) == 2.0 > float(flat(801))


def test_the_table_says_where_every_weight_of_the_zoo_lies():
    for slug in ("airahybrid_d_str", "llama_3_2"):
        found = chosen(f"1b,arch={slug}")
        rule = sharding.rule(8, 65_536)
        d = found.dims
        assert rule("embedding", (d.vocab, d.d_model)) == P(None, "fsdp")
        assert rule("segment_0/layer_0/layer/query/kernel", (16, d.d_model, d.d_model)) == P(None, "fsdp", None)
        assert rule("segment_0/layer_1/layer/down/kernel", (16, d.mlp_hidden, d.d_model)) == P(None, None, "fsdp")
        assert rule("segment_0/layer_0/norm/weight", (16, d.d_model)) == P()
    with pytest.raises(ValueError, match=r"sharding\.TABLE"):
        rule("segment_0/layer_0/layer/router/table", (16, 64, 64))
    with pytest.raises(ValueError, match=r"use mesh\.fsdp=6"):
        rule("embedding", (128_256, 6 * 1536 + 6))


def test_weights_travel_as_bfloat16_and_only_parts_cross_replicas():
    """In the lowered text of the gradient on 2 x 4: kernels are gathered in bfloat16 over 4 devices, their gradients
    scattered there, and no array as large as a whole kernel is summed over all 8."""
    from aira_jax.models.hybrid import HybridLM
    from aira_jax.pretrain.objective import Objective
    from aira_jax.pretrain.settings import Loss
    from aira_jax.primitives.block import Large
    from aira_jax.train.sharding import Layout

    mesh = AbstractMesh((2, 4), sharding.AXES, axis_types=(AxisType.Auto,) * 2)
    found = design(Model(scale="debug", pattern="2(A-M)"))
    model = HybridLM(Large(found.dims), found.pattern.layers, found.dims.vocab)
    objective = Objective(model, Layout(mesh, sharding.rule(4, 0), sharding.BATCH), Loss.FULL, 8192)
    params = jax.eval_shape(model.init, jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((1, 8, 33), np.int32)
    jaxpr = jax.make_jaxpr(objective.gradient)(params, tokens)
    calls = list(collectives(jaxpr.jaxpr))
    gathered = [aval for name, _, aval in calls if name == "all_gather"]
    scattered = [aval for name, _, aval in calls if name == "reduce_scatter"]
    assert {aval.dtype.name for aval in gathered + scattered} == {"bfloat16"}
    assert len(gathered) == len(scattered) == 1 + 4 + 3  # the tied table once, A, M
    everywhere = [
        aval.size for name, axes, aval in calls if name.startswith("psum") and set(axes) == set(sharding.AXES)
    ]
    assert max(everywhere) <= 2 * found.dims.d_model


def collectives(jaxpr):
    """(primitive, axes, type of the operand) of every collective, inner programs included."""
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name in ("all_gather", "reduce_scatter") or name.startswith("psum"):
            axes = equation.params.get("axes") or equation.params.get("axis_name")
            yield from ((name, axes, variable.aval) for variable in equation.invars)
        for value in equation.params.values():
            for inner in value if isinstance(value, (list, tuple)) else [value]:
                if hasattr(inner, "jaxpr"):
                    inner = inner.jaxpr
                if hasattr(inner, "eqns"):
                    yield from collectives(inner)
