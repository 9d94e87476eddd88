"""aira_jax: agents that discover neural architectures, in JAX (arXiv 2605.15871)."""

__version__ = "0.1.0"
