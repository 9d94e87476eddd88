"""Work, floors and parameter counts against hand-computed tables."""

import pytest

from kernels_pallas import SsdSpec
from kernels_pallas.common import roofline
from kernels_pallas.common.timing import busy

# scale: chunk -> GFLOP and floor us forward and backward of 8192 tokens on an H200; MB; MB of states
TABLE = {
    "350M": {64: (14.6, 37.2, 22, 38, 201), 128: (16.2, 42.3, 22, 43, 101), 256: (19.6, 52.3, 22, 53, 50)},
    "1B": {64: (19.4, 49.6, 29, 50, 268), 128: (21.6, 56.2, 29, 57, 134), 256: (26.0, 69.5, 29, 70, 67)},
    "3B": {64: (54.9, 139, 56, 141, 805), 128: (58.3, 149, 59, 151, 403), 256: (65.0, 169, 66, 171, 201)},
}
MEGABYTES = {"350M": (106, 163), "1B": (140.5, 213.9), "3B": (213, 325)}


@pytest.mark.parametrize("scale", TABLE)
def test_ssd_work_and_floor(scale):
    b = roofline.BLOCKS[scale]
    spec = SsdSpec(1, 8192, b.H, b.P, b.G, b.N, "bfloat16")
    for chunk, (forward, backward, floor_forward, floor_backward, states) in TABLE[scale].items():
        work = roofline.work(spec, chunk)
        assert work.forward_flops / 1e9 == pytest.approx(forward, abs=0.06)
        assert work.backward_flops / 1e9 == pytest.approx(backward, abs=0.06 if backward < 100 else 0.6)
        assert work.forward_bytes / 1e6 == pytest.approx(MEGABYTES[scale][0], abs=0.6)
        assert work.backward_bytes / 1e6 == pytest.approx(MEGABYTES[scale][1], abs=0.6)
        floors = work.floor_us(roofline.PEAKS["NVIDIA H200"])
        assert floors == pytest.approx((floor_forward, floor_backward), abs=0.6)
        assert roofline.state_bytes(spec, chunk) / 1e6 == pytest.approx(states, abs=0.6)


@pytest.mark.parametrize(
    "scale,projected,channels,parameters,flops",
    [
        ("small", 548, 288, 104_620, 673_536),
        ("350M", 6448, 3328, 14_642_576, 92_534_784),
        ("1B", 8512, 4352, 25_847_232, 161_323_008),
        ("3B", 12896, 6656, 58_530_592, 369_979_392),
    ],
)
def test_block_counts(scale, projected, channels, parameters, flops):
    b = roofline.BLOCKS[scale]
    assert (b.projected, b.channels, b.parameters, b.train_flops_per_token) == (projected, channels, parameters, flops)


def test_busy_time_is_the_union_of_intervals():
    assert busy([(0, 10), (5, 12), (20, 21), (6, 7)]) == 13
