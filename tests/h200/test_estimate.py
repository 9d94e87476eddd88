"""Floors, messages and occupancy of described GPUs; nothing here needs the extra h200."""

import pytest

from aira_jax.h200.devices import GPUS, Cluster
from aira_jax.h200.estimate import estimate, wire_seconds
from aira_jax.h200.hlo import Collective, Module, Step, replica_groups
from aira_jax.h200.occupancy import LaunchError, occupancy

LOOP = """
%body (p: (s32[], bf16[512])) -> (s32[], bf16[512]) {
  %p = (s32[], bf16[512]{0}) parameter(0)
  %x = bf16[512]{0} get-tuple-element(%p), index=1
  %g = (bf16[512]{0}, bf16[4096]{0}) all-gather-start(%x), replica_groups=[2,8]<=[16], dimensions={0}
  %d = bf16[4096]{0} all-gather-done(%g)
}

ENTRY %main (a: bf16[512]) -> bf16[512] {
  %a = bf16[512]{0} parameter(0)
  %t = (s32[], bf16[512]{0}) tuple(%a)
  %w = (s32[], bf16[512]{0}) while(%t), condition=%cond, body=%body, backend_config={"known_trip_count":{"n":"6"}}
  %r = bf16[512]{0} all-reduce-start(%a), replica_groups={{0,8},{1,9}}, to_apply=%add
}
"""


def test_messages_inside_loops_count_every_trip_and_one_side_of_the_tuple():
    gather, reduce = [s.collective for s in Module(LOOP).steps(8, 16) if s.collective]
    assert gather == Collective("all-gather", "bf16", 8192, group=8, hosts=1, count=6)
    assert reduce == Collective("all-reduce", "bf16", 1024, group=2, hosts=2, count=1)


@pytest.mark.parametrize(
    "text,groups",
    [
        ("replica_groups={{0,1},{2,3}}", [[0, 1], [2, 3]]),
        ("replica_groups=[2,2]<=[4]", [[0, 1], [2, 3]]),
        ("replica_groups=[2,2]<=[2,2]T(1,0)", [[0, 2], [1, 3]]),
        ("replica_groups=mesh['a'=2,'b'=2], device_ids=([2,2]T(1,0)) {'a'}", [[0, 1], [2, 3]]),
        ("replica_groups=mesh['a'=2,'b'=2] {'b'}", [[0, 1], [2, 3]]),
    ],
)
def test_groups_in_every_form(text, groups):
    assert replica_groups(text, 4) == groups


def test_floors_of_a_copy_and_a_product():
    copy, product = Step("copy", "copy", 1, 2 * 2**30), Step("dot", "dot", 1, 0, (("tensor", 2 * 8192**3),))
    assert estimate(Cluster(), [copy]).serial == pytest.approx(0.447e-3, rel=1e-3)
    assert estimate(Cluster(), [product]).serial == pytest.approx(1.111e-3, rel=1e-3)


def test_messages_between_hosts_are_slower():
    inside, across = (Collective("all-reduce", "f32", 2**30, 8, hosts, 1) for hosts in (1, 8))
    assert wire_seconds(Cluster(), across) > 5 * wire_seconds(Cluster(), inside)


def test_occupancy_and_what_cannot_be_launched():
    found = occupancy(GPUS["H200"], "k", registers=128, shared=0, warps=8)
    assert (found.blocks, found.limiter) == (2, "registers")
    with pytest.raises(LaunchError, match=r"kernel wide .*shared memory"):
        occupancy(GPUS["H200"], "wide", registers=32, shared=228 * 1024, warps=4)


def test_bad_clusters_name_the_mend():
    with pytest.raises(ValueError, match="one of H200, H100"):
        Cluster("B200")
    with pytest.raises(ValueError, match=r"hosts=2 x devices=4 are 8"):
        Cluster(hosts=2, devices=4).fits({"x": 16})
