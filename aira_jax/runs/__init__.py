"""Runs that were recorded: one reading of an event log, and the tables that are made of many."""
