"""The table of the kernels on an H200: what is recorded holds the bars, and, with the extra h200, still compiles so."""

import dataclasses

import pytest

from aira_jax.h200 import missing, table
from kernels_pallas import Impl
from kernels_pallas.common import dispatch

needs_compiler = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def test_every_scale_and_both_backends_are_recorded_and_hold_the_bars():
    tables = table.load()
    assert [one.shape for one in tables] == list(table.SCALES)
    wanted = {("ssd", "pallas_triton"), ("ssd", "pallas_mosaic_gpu"), ("state_scan", "pallas_triton")}
    wanted |= {("state_scan", "pallas_mosaic_gpu"), ("causal_conv1d", "pallas_triton")}
    for one in tables:
        assert {(call.op, call.impl) for call in one.calls} == wanted
        assert one.faults() == []
    assert table.MARKDOWN.read_text() == table.markdown(tables)


@pytest.mark.parametrize(
    "changes,fault",
    [
        ({"spill_bytes": 8}, "8 bytes a thread spilled"),
        ({"blocks_per_sm": 1, "warps": 4, "limiter": "registers"}, "4 warps at work, limited by registers"),
    ],
)
def test_a_row_below_the_bars_is_a_fault(changes, fault):
    one = table.load()[0]
    planted = dataclasses.replace(one.kernels[0], **changes)
    (found,) = dataclasses.replace(one, kernels=(planted, *one.kernels[1:])).faults()
    assert fault in found


def test_recording_replaces_the_rows_that_were_compiled_again(tmp_path, monkeypatch):
    one = table.load()[0]
    monkeypatch.setattr(table, "JSON", tmp_path / "h200.json")
    monkeypatch.setattr(table, "MARKDOWN", tmp_path / "H200.md")
    table.record(one)
    conv = [k for k in one.kernels if k.op == "causal_conv1d"]
    changed = tuple(dataclasses.replace(k, registers=1) for k in conv)
    table.record(dataclasses.replace(one, kernels=changed, calls=tuple(c for c in one.calls if c.op == conv[0].op)))
    (again,) = table.load()
    assert {k.registers for k in again.kernels if k.op == "causal_conv1d"} == {1}
    assert [k for k in again.kernels if k.op == "ssd"] == [k for k in one.kernels if k.op == "ssd"]
    assert len(again.calls) == len(one.calls)


@needs_compiler
@pytest.mark.parametrize("op", ["causal_conv1d", "state_scan", pytest.param("ssd", marks=pytest.mark.slow)])
def test_kernels_compile_as_recorded(op):
    """Registers, spills, shared memory and temporaries are not above the recorded row, for equal versions of ptxas."""
    found = table.table("1B", [op], [Impl.PALLAS_TRITON])
    assert found.faults() == []
    recorded = next(one for one in table.load() if one.shape == "1B")
    rows = {(row.op, row.impl, row.name): row for row in recorded.kernels}
    for new in found.kernels:
        old = rows[new.op, new.impl, new.name]
        if (found.jax, found.ptxas) == (recorded.jax, recorded.ptxas):
            assert (new.registers, new.smem_bytes) <= (old.registers, old.smem_bytes), new.name
    calls = {(row.op, row.impl, row.direction): row for row in recorded.calls}
    for new in found.calls:
        assert new.temp_bytes <= calls[new.op, new.impl, new.direction].temp_bytes * 1.1


@needs_compiler
def test_a_planted_spill_turns_the_check_red():
    with dispatch.block_sizes(time=64, channels=128, num_warps=4):
        found = table.table("350M", ["causal_conv1d"], [Impl.PALLAS_TRITON])
    (fault,) = found.faults()
    assert "conv1d_backward" in fault
    assert "spilled" in fault


def test_an_operator_without_the_implementation_is_named():
    with pytest.raises(ValueError, match="no kernel of causal_conv1d is written in pallas_mosaic_gpu"):
        table.table("1B", ["causal_conv1d"], [Impl.PALLAS_MOSAIC_GPU])
