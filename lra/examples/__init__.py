"""Submissions to start from."""
