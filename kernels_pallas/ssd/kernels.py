"""Bodies of the ssd kernels: each sees the refs of one chunk and one head (or one share of a group's heads).

The same bodies run on GPUs (Triton) and TPUs; only the block specs differ. Products take operands in the dtype of x and
accumulate in float32. `tile` rows of a chunk are computed per program; t is the index of the program's tile.

Q chunk, T tile, P head dim, N state dim, S heads of a share.
"""

import jax
import jax.numpy as jnp

from kernels_pallas.common.backends import pallas
from kernels_pallas.common.numerics import precision


def _dot(a, b, contract: str):
    """a.b, a.b^T or a^T.b as "nn", "nt", "tn", accumulated in float32; b decides the dtype of the product."""
    dims = ((0 if contract[0] == "t" else 1,), (1 if contract[1] == "t" else 0,))
    return jax.lax.dot_general(
        a.astype(b.dtype), b, (dims, ((), ())), precision=precision(b.dtype), preferred_element_type=jnp.float32
    )


def _rows(tile: int, index):
    return pallas().ds(index * tile, tile)


def _seen(runs_ref, tile: int, q_tile, k_tile):
    """[T,T]: whether position q of tile q_tile sees position k of tile k_tile."""
    q = q_tile * tile + jax.lax.broadcasted_iota(jnp.int32, (tile, tile), 0)
    k = k_tile * tile + jax.lax.broadcasted_iota(jnp.int32, (tile, tile), 1)
    seen = q >= k
    if runs_ref is not None:
        seen &= runs_ref[_rows(tile, q_tile)][:, None] == runs_ref[_rows(tile, k_tile)][None, :]
    return seen


def _decay(log_q, log_k, seen):
    """L [T,T] from the cumulative log decays of the rows and the columns."""
    gap = jnp.where(seen, log_q[:, None] - log_k[None, :], 0)
    return jnp.where(seen, jnp.exp(gap), 0)


def chunk_state(weights_ref, x_ref, b_ref, out_ref, *, tile: int):
    """out [P,N] = sum_q weights_q x_q b_q^T."""

    def add(j, acc_PN):
        rows = _rows(tile, j)
        weighted_TP = weights_ref[rows][:, None] * x_ref[rows, :].astype(jnp.float32)
        return acc_PN + _dot(weighted_TP, b_ref[rows, :], "tn")

    out_ref[...] = jax.lax.fori_loop(0, x_ref.shape[0] // tile, add, jnp.zeros(out_ref.shape, jnp.float32))


def chunk_scan(c_ref, states_ref, cb_ref, log_ref, enter_ref, dt_ref, x_ref, d_ref, runs_ref, y_ref, *, tile: int):
    """y [T,P] = M X' + E C h^T + D x, over the key tiles up to the diagonal."""
    t = pallas().program_id(2)
    rows = _rows(tile, t)
    log_q = log_ref[rows]
    acc_TP = enter_ref[rows][:, None] * _dot(c_ref[...], states_ref[...], "nt")

    def add(j, acc_TP):
        keys = _rows(tile, j)
        mixer_TT = _decay(log_q, log_ref[keys], _seen(runs_ref, tile, t, j)) * cb_ref[:, keys]
        return acc_TP + _dot(mixer_TT, _scaled(dt_ref, x_ref, keys), "nn")

    acc_TP = jax.lax.fori_loop(0, t + 1, add, acc_TP)
    if d_ref is not None:
        acc_TP += d_ref[...][None, :] * x_ref[rows, :].astype(jnp.float32)
    y_ref[...] = acc_TP.astype(y_ref.dtype)


def _scaled(dt_ref, x_ref, rows):
    """X' = dt x [T,P] in the dtype of x."""
    return (dt_ref[rows][:, None] * x_ref[rows, :].astype(jnp.float32)).astype(x_ref.dtype)


def input_grads(
    b_ref,
    dstates_ref,
    cb_ref,
    log_ref,
    leave_ref,
    dt_ref,
    x_ref,
    dy_ref,
    d_ref,
    runs_ref,
    dx_ref,
    ddt_ref,
    v_ref,
    *,
    tile,
):
    """dX' [T,P] = M^T dy + w dH B over the query tiles from the diagonal; from it dx, dX'.x and v."""
    t = pallas().program_id(2)
    keys = _rows(tile, t)
    x_TP, dt_T = x_ref[...].astype(jnp.float32), dt_ref[keys]
    inter_TP = leave_ref[keys][:, None] * _dot(b_ref[...], dstates_ref[...], "nt")
    v_ref[...] = dt_T * jnp.sum(x_TP * inter_TP, axis=1)
    log_k = log_ref[keys]

    def add(j, acc_TP):
        rows = _rows(tile, j)
        mixer_TT = _decay(log_ref[rows], log_k, _seen(runs_ref, tile, j, t)) * cb_ref[rows, :]
        return acc_TP + _dot(mixer_TT, dy_ref[rows, :], "tn")

    acc_TP = jax.lax.fori_loop(t, dy_ref.shape[0] // tile, add, inter_TP)
    ddt_ref[...] = jnp.sum(acc_TP * x_TP, axis=1)
    dx_TP = dt_T[:, None] * acc_TP
    if d_ref is not None:
        dx_TP += d_ref[...][None, :] * dy_ref[keys, :].astype(jnp.float32)
    dx_ref[...] = dx_TP.astype(dx_ref.dtype)


def _dproducts(s_heads, x_ref, dy_ref, dt_ref, log_ref, seen, rows, keys):
    """dCB [T,T] of one pair of tiles: sum over the heads of the share of (dy X'^T) * L."""

    def add(s, acc_TT):
        scaled_TP = dt_ref[s, keys][:, None] * x_ref[keys, s, :].astype(jnp.float32)
        flow_TT = _dot(dy_ref[rows, s, :], scaled_TP.astype(x_ref.dtype), "nt")
        return acc_TT + flow_TT * _decay(log_ref[s, rows], log_ref[s, keys], seen)

    return jax.lax.fori_loop(0, s_heads, add, jnp.zeros(seen.shape, jnp.float32))


def c_grads(c_ref, b_ref, states_ref, log_ref, enter_ref, dt_ref, x_ref, dy_ref, runs_ref, dc_ref, e_ref, *, tile: int):
    """dC [T,N] = sum_k dCB_qk B_k + sum over heads of E h^T dy, and e for every head of the share."""
    t = pallas().program_id(2)
    rows, heads = _rows(tile, t), x_ref.shape[1]
    c_TN = c_ref[...].astype(jnp.float32)

    def through_states(s, acc_TN):
        entered_TP = enter_ref[s, rows][:, None] * dy_ref[rows, s, :].astype(jnp.float32)
        part_TN = _dot(entered_TP, states_ref[s], "nn")
        e_ref[s, :] = jnp.sum(part_TN * c_TN, axis=1)
        return acc_TN + part_TN

    def within(j, acc_TN):
        keys, seen = _rows(tile, j), _seen(runs_ref, tile, t, j)
        dcb_TT = _dproducts(heads, x_ref, dy_ref, dt_ref, log_ref, seen, rows, keys)
        return acc_TN + _dot(dcb_TT, b_ref[keys, :], "nn")

    acc_TN = jax.lax.fori_loop(0, heads, through_states, jnp.zeros(dc_ref.shape, jnp.float32))
    dc_ref[...] = jax.lax.fori_loop(0, t + 1, within, acc_TN)


def b_grads(c_ref, dstates_ref, log_ref, leave_ref, dt_ref, x_ref, dy_ref, runs_ref, db_ref, *, tile: int):
    """dB [T,N] = sum_q dCB_qk C_q + sum over heads of w dH^T X'."""
    t = pallas().program_id(2)
    keys, heads = _rows(tile, t), x_ref.shape[1]

    def through_states(s, acc_TN):
        weights_T = leave_ref[s, keys] * dt_ref[s, keys]
        left_TP = weights_T[:, None] * x_ref[keys, s, :].astype(jnp.float32)
        return acc_TN + _dot(left_TP, dstates_ref[s], "nn")

    def within(j, acc_TN):
        rows, seen = _rows(tile, j), _seen(runs_ref, tile, j, t)
        dcb_TT = _dproducts(heads, x_ref, dy_ref, dt_ref, log_ref, seen, rows, keys)
        return acc_TN + _dot(dcb_TT, c_ref[rows, :], "tn")

    acc_TN = jax.lax.fori_loop(0, heads, through_states, jnp.zeros(db_ref.shape, jnp.float32))
    db_ref[...] = jax.lax.fori_loop(t, x_ref.shape[0] // tile, within, acc_TN)


def decay_grads(cb_ref, log_ref, dt_ref, x_ref, dy_ref, runs_ref, out_ref, *, tile: int):
    """out_i = sum over q >= i > k of T_qk for the positions i of the tile, T = (dy X'^T) * M.

    A pair of tiles off the diagonal gives whole sums of rows, of columns, or of everything; only the diagonal tile
    needs partial sums, an exclusive cumulative sum along k.
    """
    t, tiles = pallas().program_id(2), x_ref.shape[0] // tile

    def flow(j, m):
        rows, keys = _rows(tile, j), _rows(tile, m)
        mixer_TT = _decay(log_ref[rows], log_ref[keys], _seen(runs_ref, tile, j, m)) * cb_ref[rows, keys]
        return _dot(dy_ref[rows, :], _scaled(dt_ref, x_ref, keys), "nt") * mixer_TT

    zeros_T = jnp.zeros(out_ref.shape, jnp.float32)
    rows_T = jax.lax.fori_loop(0, t, lambda m, acc: acc + jnp.sum(flow(t, m), axis=1), zeros_T)
    columns_T = jax.lax.fori_loop(t + 1, tiles, lambda j, acc: acc + jnp.sum(flow(j, t), axis=0), zeros_T)

    def beyond(j, acc_T):
        return jax.lax.fori_loop(0, t, lambda m, acc: acc + jnp.sum(flow(j, m), axis=1), acc_T)

    total = jnp.sum(jax.lax.fori_loop(t + 1, tiles, beyond, zeros_T))
    q, i = (jax.lax.broadcasted_iota(jnp.int32, (tile, tile), d) for d in (0, 1))
    diagonal_TT = flow(t, t)
    crossing_TT = jnp.cumsum(diagonal_TT, axis=1) - diagonal_TT + rows_T[:, None]
    here_T = jnp.sum(jnp.where(q >= i, crossing_TT, 0), axis=0)
    out_ref[...] = total + here_T + jnp.sum(jnp.where(q < i, columns_T[:, None], 0), axis=0)
