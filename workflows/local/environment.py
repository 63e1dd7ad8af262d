"""What a step's process finds in its environment: what its template names, and little else."""

from collections.abc import Mapping
from dataclasses import dataclass

from steps.clients.local.addresses import HOST
from steps.clients.local.handed_on import handed_on
from steps.errors import BadInput
from workflows.local.spec import Program, Variable

WAY_OUT = (
    *("AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"),
    *("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy"),
)
"""Where there is one only by a proxy with its own authority."""
NO_PROXY = ("no_proxy", "NO_PROXY")
LOOPBACK = (HOST, "localhost")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """What the cluster would hold: ConfigMaps and Secrets by name. ``environ`` is the user's own environment."""

    config_maps: Mapping[str, Mapping[str, str]]
    secrets: Mapping[str, Mapping[str, str]]
    environ: Mapping[str, str]


def of_the_machine(environ: Mapping[str, str]) -> dict[str, str]:
    """Of the user's environment this alone reaches a step: in a cluster, image and network would see to it."""
    kept = {name: value for name, value in environ.items() if name in WAY_OUT or handed_on(name)}
    return kept | direct(environ)


def direct(environ: Mapping[str, str]) -> dict[str, str]:
    """What keeps a proxy out of the way to this machine's own services, beside what the user keeps it out of."""
    named = [host.strip() for name in NO_PROXY for host in environ.get(name, "").split(",") if host.strip()]
    hosts = ["*"] if "*" in named else dict.fromkeys((*named, *LOOPBACK))
    return dict.fromkeys(NO_PROXY, ",".join(hosts))


def compose(program: Program, sources: Sources) -> dict[str, str]:
    """The environment of a program's processes. Raises BadInput naming a ConfigMap, Secret or key that is not there."""
    environ = of_the_machine(sources.environ)
    for bundle in program.bundles:
        kind, held = ("Secret", sources.secrets) if bundle.secret else ("ConfigMap", sources.config_maps)
        if bundle.name not in held and not bundle.optional:
            raise BadInput(f"step {program.name} needs {kind} {bundle.name}, which the local engine was not given")
        environ |= held.get(bundle.name, {})
    for variable in program.variables:
        value = _value(program, variable, sources)
        environ |= {} if value is None else {variable.name: value}
    return environ


def _value(program: Program, variable: Variable, sources: Sources) -> str | None:
    if variable.secret is None:
        return variable.value
    value = sources.secrets.get(variable.secret, {}).get(variable.key)
    if value is None and not variable.optional:
        raise BadInput(f"step {program.name} needs key {variable.key} of Secret {variable.secret}; set it")
    return value
