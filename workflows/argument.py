"""How a template's argument refers to an input: in one form, which Argo and the local engine both fill in."""


def reference(name: str) -> str:
    """To the input ``name``, with every ``$`` of its value doubled.

    The kubelet fills in ``$(NAME)`` in arguments from the container's environment: who types ``$(HF_TOKEN)`` as a
    parameter would find the token in an error message. Doubled, a ``$`` is a mere ``$``
    (k8s.io/kubernetes third_party/forked/golang/expansion). All that Argo expands it has expanded before.
    """
    return f"{{{{{expression(name)}}}}}"


def expression(name: str) -> str:
    """What stands between the braces; ``replace`` is expr-lang's."""
    return f"=replace(inputs.parameters.{name}, '$', '$$')"
