"""Decisions as functions of values: no network, no disk, no clock, no environment."""
