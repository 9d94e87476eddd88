"""Bayesian optimisation over patterns: a Gaussian process on one-hot layers, and log noisy expected improvement.

An RBF kernel on one-hot layers is a function of the Hamming distance. Length scale and noise maximise the marginal
likelihood (scikit-learn). The incumbent is not the best noisy observation: it is averaged over posterior samples at the
observed patterns.
Sources: Composer (arXiv 2510.00379) names the kernel; Letham et al. 2019 (noisy expected improvement, arXiv
1706.07094); Ament et al. 2023 (its logarithm, arXiv 2310.20708).

N observed patterns, C candidates, S posterior samples, L layers, F features.
"""

import contextlib
import importlib.util
import threading
import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from aira_jax.controls.trials import DEFAULTS, SMALL, Exhausted, Proposal, Region, Trial, best, fresh, known
from aira_jax.patterns import Pattern

SAMPLES = 128
RANDOM_CANDIDATES, TWO_CHANGES, CENTRES = 2000, 200, 10
_JITTER = 1e-6
_TURN = threading.Lock()
_FAR = 1e4  # below -1e4 the asymptote of h, phi(u) / u^2, is exact to eight digits, and the difference no more


def check() -> None:
    """Raises ValueError where scikit-learn is missing."""
    if importlib.util.find_spec("sklearn") is None:
        raise ValueError("Bayesian optimisation needs scikit-learn: pip install 'aira-jax[bo]'")


def propose(
    region: Region, trials: Sequence[Trial], pending: Sequence[Pattern], rng, initial: int = DEFAULTS.initial
) -> Proposal:
    """The candidate with the best acquisition value; a uniform draw while there are fewer than `initial`
    patterns.

    A failed trial counts as the worst quality seen. Pending patterns are taken to score what the model expects.
    """
    taken = known(trials, pending)
    scored = [t.quality for t in trials if t.quality is not None]
    if len(taken) < initial or len(set(scored)) < 2:
        return Proposal(fresh(region, taken, rng), "A uniform draw of the initial design.")
    check()
    candidates_CL = _candidates(region, trials, taken, rng)
    if not len(candidates_CL):
        raise Exhausted(f"all {region.size} patterns of {region.layers} layers were proposed: the search is complete")
    with _one_core():
        return _best(region, trials, pending, candidates_CL, rng)


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """Linear algebra on one core: no proposal depends on how many there are, and none takes them from evaluations.

    The limit is the whole process's, so that proposals of several threads take turns.
    """
    import threadpoolctl

    with _TURN, threadpoolctl.threadpool_limits(1, user_api="blas"):
        yield


def _best(region: Region, trials: Sequence[Trial], pending: Sequence[Pattern], candidates_CL, rng) -> Proposal:
    scored = [t.quality for t in trials if t.quality is not None]
    seen_NF = _features(_codes(region, [t.pattern for t in trials]), region)
    y_N = np.array([min(scored) if t.quality is None else t.quality for t in trials])
    y_N = (y_N - y_N.mean()) / y_N.std()
    scale, noise = _fit(seen_NF, y_N)
    if pending:
        begun_PF = _features(_codes(region, pending), region)
        expected_P = _mean(begun_PF, seen_NF, y_N, scale, noise)
        seen_NF, y_N = np.concatenate([seen_NF, begun_PF]), np.concatenate([y_N, expected_P])
    value_C = log_noisy_ei(_features(candidates_CL, region), seen_NF, y_N, scale, noise, rng)
    chosen = candidates_CL[int(np.argmax(value_C))]
    pattern = Pattern(tuple(region.primitives[code] for code in chosen))
    told = f"The best of {len(candidates_CL)} candidates; length scale {scale:.3g}, noise {noise:.3g}."
    return Proposal(pattern, f"{told} Log expected improvement {value_C.max():.3g}.")


def log_noisy_ei(cand_CF, seen_NF, y_N, scale: float, noise: float, rng) -> np.ndarray:
    """[C] log of the expected improvement over the best latent value at the observed points, mean over S samples."""
    k_NN = _rbf(seen_NF, seen_NF, scale)
    k_CN = _rbf(cand_CF, seen_NF, scale)
    f_NS = _posterior_samples(k_NN, y_N, noise, rng)
    inverse_NN = np.linalg.inv(k_NN + _JITTER * np.eye(len(k_NN)))
    mean_CS = k_CN @ (inverse_NN @ f_NS)
    sd_C = np.sqrt(np.maximum(1 - np.einsum("cn,nm,cm->c", k_CN, inverse_NN, k_CN, optimize=True), _JITTER))
    log_ei_CS = np.log(sd_C)[:, None] + log_h((mean_CS - f_NS.max(axis=0)) / sd_C[:, None])
    top_C = log_ei_CS.max(axis=1)
    return top_C + np.log(np.exp(log_ei_CS - top_C[:, None]).mean(axis=1))


def log_h(u: np.ndarray) -> np.ndarray:
    """log(phi(u) + u Phi(u)) without cancellation: the standardised expected improvement."""
    from scipy.special import erfcx, ndtr

    value = -0.5 * u * u - 0.5 * np.log(2 * np.pi)  # log phi
    near, far = u > -1, u < -_FAR
    v = u[near]
    value[near] = np.log(np.exp(value[near]) + v * ndtr(v))
    v = -u[~near & ~far]
    ratio = np.sqrt(np.pi / 2) * erfcx(v / np.sqrt(2))  # Mills' ratio
    value[~near & ~far] += np.log1p(-v * ratio)
    value[far] -= 2 * np.log(-u[far])
    return value


def _posterior_samples(k_NN: np.ndarray, y_N: np.ndarray, noise: float, rng) -> np.ndarray:
    """[N, S] draws of the latent values at the observed points, given their noisy observations."""
    solved = np.linalg.solve(k_NN + (noise + _JITTER) * np.eye(len(k_NN)), np.column_stack([y_N, k_NN]))
    mean_N, cov_NN = k_NN @ solved[:, 0], k_NN - k_NN @ solved[:, 1:]
    values, vectors = np.linalg.eigh((cov_NN + cov_NN.T) / 2)
    root_NN = vectors * np.sqrt(np.maximum(values, 0))
    return mean_N[:, None] + root_NN @ rng.standard_normal((len(y_N), SAMPLES))


def _mean(new_CF, seen_NF, y_N, scale: float, noise: float) -> np.ndarray:
    k_NN = _rbf(seen_NF, seen_NF, scale)
    return _rbf(new_CF, seen_NF, scale) @ np.linalg.solve(k_NN + (noise + _JITTER) * np.eye(len(k_NN)), y_N)


def _fit(x_NF: np.ndarray, y_N: np.ndarray) -> tuple[float, float]:
    """Length scale and noise variance of largest marginal likelihood, for standardised observations."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, WhiteKernel

    kernel = RBF(2.0, (0.3, 30.0)) + WhiteKernel(0.1, (1e-4, 2.0))
    # A maximum on the border of the ranges is fine. (catch_warnings would not do: proposals are made in threads.)
    warnings.filterwarnings("ignore", category=ConvergenceWarning, module=r"sklearn\.gaussian_process")
    fitted = GaussianProcessRegressor(kernel, alpha=_JITTER).fit(x_NF, y_N).kernel_
    return float(fitted.k1.length_scale), float(fitted.k2.noise_level)


def _rbf(a_AF: np.ndarray, b_BF: np.ndarray, scale: float) -> np.ndarray:
    squares = (a_AF**2).sum(1)[:, None] + (b_BF**2).sum(1)[None] - 2 * a_AF @ b_BF.T
    return np.exp(-0.5 * np.maximum(squares, 0) / scale**2)


def _codes(region: Region, patterns: Sequence[Pattern]) -> np.ndarray:
    """[N, L] the number of every layer's primitive."""
    return np.array([[region.primitives.index(layer) for layer in p.layers] for p in patterns])


def _features(codes_NL: np.ndarray, region: Region) -> np.ndarray:
    """[N, F] one 0/1 column per layer and primitive; one per layer for two primitives."""
    if len(region.primitives) == 2:
        return codes_NL.astype(float)
    return np.eye(len(region.primitives))[codes_NL].reshape(len(codes_NL), -1)


def _candidates(region: Region, trials: Sequence[Trial], taken: set[Pattern], rng) -> np.ndarray:
    """[C, L] distinct codes of what was not taken: all of a small region, else draws and neighbours of the best."""
    if region.size <= SMALL:
        left = [pattern for pattern in region if pattern not in taken]
        return _codes(region, left) if left else np.empty((0, region.layers), int)
    n = len(region.primitives)
    random_CL = rng.integers(n, size=(RANDOM_CANDIDATES, region.layers))
    centres_KL = _codes(region, [t.pattern for t in best(trials, CENTRES)])
    shifts = np.concatenate([s * np.eye(region.layers, dtype=int) for s in range(1, n)])
    one_CL = ((centres_KL[:, None] + shifts[None]) % n).reshape(-1, region.layers)
    two_CL = centres_KL[rng.integers(len(centres_KL), size=TWO_CHANGES)]
    for row in two_CL:
        places = rng.choice(region.layers, size=2, replace=False)
        row[places] = (row[places] + rng.integers(1, n, size=2)) % n
    codes_CL = np.unique(np.concatenate([random_CL, one_CL, two_CL]), axis=0)
    old = {tuple(row) for row in _codes(region, list(taken)).tolist()}
    return np.array([row for row in codes_CL.tolist() if tuple(row) not in old])
