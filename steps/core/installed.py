"""Names of what an installation holds and a run refers to."""

PROMOTE_TEMPLATE = "vllm-promote"
ROLLBACK_TEMPLATE = "vllm-promote-rollback"
"""The workflow of a rollback by hand."""
REFRESH_TEMPLATE = "vllm-promote-refresh"
"""Also the CronWorkflow's name."""
RECONCILE_JOB = "vllm-promote-reconcile"
"""A CronJob of Kubernetes' own."""
