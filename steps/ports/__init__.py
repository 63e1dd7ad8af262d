"""What the steps see of the outside. Adapters are in ``steps.clients``; fakes pass the same contract tests as they do.

Every method may raise Transient. What else it raises is said with it.
"""
