"""Runs in a cluster: how a command submits, watches, stops and retries them there."""
