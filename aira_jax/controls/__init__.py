"""Proposers of patterns without a language model, the baselines of every agent: see methods.py."""
