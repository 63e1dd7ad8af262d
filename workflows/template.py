"""The two workflows: bring a model into service, and go back to one by hand. Both end in the same exit handler.

Argo runs these templates in a cluster, `workflows.local.engine` runs the same manifests on one machine.
"""

from dataclasses import dataclass

from hera.workflows import DAG, Parameter, WorkflowTemplate
from hera.workflows.models import LabelValueFrom, Mutex, PodGC, Synchronization, TTLStrategy, WorkflowMetadata

from steps.contracts import (
    ALL,
    CHECKSUM,
    DEPLOY,
    MIRROR,
    POPULATE,
    PREFLIGHT,
    PROMOTE,
    REPORT,
    RESOLVE,
    ROLLBACK,
    SMOKE,
    ChecksumInputs,
    DeployInputs,
    MirrorInputs,
    PopulateInputs,
    PreflightInputs,
    PromoteInputs,
    ReportInputs,
    ResolveInputs,
    RollbackInputs,
    SmokeInputs,
)
from steps.core import labels
from steps.core.installed import PROMOTE_TEMPLATE, ROLLBACK_TEMPLATE
from workflows import pods
from workflows.bridge import ITEM, Flow
from workflows.pods import TemplateConfig

FINISH = "finish"
"""The exit handler."""
RUN = "{{workflow.name}}"
OWNER = "{{workflow.uid}}"
DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class Shown:
    """What Argo's UI shows, as Markdown: of a run, or of its template."""

    title: str
    description: str

    @property
    def annotations(self) -> dict[str, str]:
        return {"workflows.argoproj.io/title": self.title, "workflows.argoproj.io/description": self.description}


@dataclass(frozen=True, slots=True)
class RunParameter:
    """A run is told this. Without a ``value`` in the template, a run which forgot it is refused."""

    name: str
    description: str
    value: str | None = None

    @property
    def reference(self) -> str:
        return f"{{{{workflow.parameters.{self.name}}}}}"


MODEL = RunParameter("model", "Hub model, ORG/NAME")
REVISION = RunParameter("revision", "Branch, tag or commit of the model; main follows the newest")
DEPLOYMENT = RunParameter("deployment", "Name that clients know; selects the catalog's entry")
COMMIT = RunParameter("commit", "Commit of the model, 40 hex digits")
MANIFEST = RunParameter("manifest_sha256", "Identity of the model's bytes, 64 hex digits")
RELEASE = RunParameter("release_id", "Release to go back to, 12 hex digits, as `python -m workflows.history` prints")

SERVED = RunParameter("served", "Release that served when this was asked for; empty: go back whatever serves", value="")


def build(config: TemplateConfig) -> WorkflowTemplate:
    """Promote a model: parameters ``model``, ``revision``, ``deployment``."""
    flow = Flow("promote-model")
    asked = ResolveInputs(model=MODEL.reference, revision=REVISION.reference, deployment=DEPLOYMENT.reference)
    new = flow.call(RESOLVE, asked)
    name, release = new.deployment, new.release_id
    found = flow.call(PREFLIGHT, PreflightInputs(deployment=name, release_id=release, run=RUN, owner=OWNER))
    if_new = f"'{found.state}' == 'new'"
    share = MirrorInputs(deployment=name, release_id=release, shard=ITEM)
    flow.call_each(MIRROR, share, items=new.shards, when=if_new)
    flow.call(POPULATE, PopulateInputs(deployment=name, release_id=release), after=[MIRROR], when=if_new)
    both = ChecksumInputs(
        model=new.model,
        commit=new.commit,
        manifest_sha256=new.manifest_sha256,
        previous_model=found.previous_model,
        previous_commit=found.previous_commit,
        previous_manifest_sha256=found.previous_manifest_sha256,
    )
    flow.call(CHECKSUM, both, after=[POPULATE], when=if_new)
    back = found.previous_commit
    candidate = DeployInputs(deployment=name, release_id=release, run=RUN, owner=OWNER, proved_commit=back)
    flow.call(DEPLOY, candidate, after=[CHECKSUM], when=if_new)
    suspect = SmokeInputs(deployment=name, release_id=release, run=RUN, owner=OWNER, proved_commit=back)
    tested = flow.call(SMOKE, suspect, after=[DEPLOY], when=if_new)
    proved = PromoteInputs(
        deployment=name, release_id=release, run=RUN, owner=OWNER, proved_commit=back, proof=tested.proof
    )
    flow.call(PROMOTE, proved, when=if_new)
    return _workflow(
        PROMOTE_TEMPLATE,
        (
            Shown("Promote a model", "From the Hub to a tested endpoint; is it not good, the previous one serves on."),
            Shown(f"Promote {MODEL.reference}", f"{REVISION.reference} to {DEPLOYMENT.reference}"),
        ),
        (MODEL, REVISION, DEPLOYMENT),
        (flow.dag(), _finish(revision=REVISION.reference)),
        config,
    )


def build_rollback(config: TemplateConfig) -> WorkflowTemplate:
    """Go back to a release: what identifies its bytes comes as parameters, so neither Hub nor store is needed."""
    flow = Flow("roll-back-to-release")
    name, release, served = DEPLOYMENT.reference, RELEASE.reference, SERVED.reference
    target = ChecksumInputs(model=MODEL.reference, commit=COMMIT.reference, manifest_sha256=MANIFEST.reference)
    flow.call(CHECKSUM, target)
    candidate = DeployInputs(deployment=name, release_id=release, run=RUN, owner=OWNER, served=served)
    flow.call(DEPLOY, candidate, after=[CHECKSUM])
    suspect = SmokeInputs(deployment=name, release_id=release, run=RUN, owner=OWNER, served=served)
    tested = flow.call(SMOKE, suspect, after=[DEPLOY])
    proved = PromoteInputs(
        deployment=name,
        release_id=release,
        run=RUN,
        owner=OWNER,
        proof=tested.proof,
        refuse_previous=True,
        served=served,
    )
    flow.call(PROMOTE, proved)
    return _workflow(
        ROLLBACK_TEMPLATE,
        (
            Shown("Roll back to a release", "Best started by `python -m workflows.rollback`, which knows the values."),
            Shown(
                f"Roll {DEPLOYMENT.reference} back", f"To {RELEASE.reference}: {MODEL.reference} at {COMMIT.reference}"
            ),
        ),
        (MODEL, COMMIT, MANIFEST, RELEASE, DEPLOYMENT, SERVED),
        (flow.dag(), _finish(revision=COMMIT.reference)),
        config,
    )


def _finish(revision: str) -> DAG:
    """Runs after success, failure, Stop and deadline; with fresh eyes: it is given nothing that a step found out."""
    flow = Flow(FINISH)
    name = DEPLOYMENT.reference
    unless_good = "'{{workflow.status}}' != 'Succeeded'"
    flow.call(ROLLBACK, RollbackInputs(deployment=name, run=RUN, owner=OWNER), when=unless_good)
    ended = ReportInputs(
        model=MODEL.reference,
        revision=revision,
        deployment=name,
        run=RUN,
        owner=OWNER,
        status="{{workflow.status}}",
        rollback_status="{{tasks.rollback.status}}",
    )
    flow.finally_call(REPORT, ended, after=ROLLBACK)
    return flow.dag()


def _metadata(run: Shown) -> WorkflowMetadata:
    """Annotations hold any text. A label with a bad value in it would make the run an Error before its first step."""
    name = f"workflow.parameters.{DEPLOYMENT.name}"
    label = f"{name} matches '^[a-z]([-a-z0-9]{{0,38}}[a-z0-9])?$' ? {name} : 'refused'"
    return WorkflowMetadata(
        annotations=run.annotations, labels_from={labels.DEPLOYMENT: LabelValueFrom(expression=label)}
    )


def _argument(parameter: RunParameter, config: TemplateConfig) -> Parameter:
    """A choice binds the UI's form alone: a run that the API is given may name any deployment."""
    offered = list(config.deployments) if parameter is DEPLOYMENT else []
    argument = Parameter(name=parameter.name, description=parameter.description, enum=offered or None)
    if parameter.value is not None:  # Hera would write a None as null
        argument.value = parameter.value
    return argument


def _workflow(
    name: str,
    shown: tuple[Shown, Shown],
    parameters: tuple[RunParameter, ...],
    dags: tuple[DAG, DAG],
    config: TemplateConfig,
) -> WorkflowTemplate:
    """``shown``: of the template and of a run. ``dags``: the flow and its exit handler, with all that they call."""
    called = {task.name for dag in dags for task in dag.tasks}
    return WorkflowTemplate(
        name=name,
        labels={"app.kubernetes.io/part-of": "vllm-promote"},
        annotations=shown[0].annotations,
        entrypoint=dags[0].name,
        on_exit=FINISH,
        arguments=[_argument(p, config) for p in parameters],
        templates=[*dags, *(pods.template(step, config) for step in ALL if step.name in called)],
        synchronization=Synchronization(mutexes=[Mutex(name=f"vllm-promote-{DEPLOYMENT.reference}")]),
        workflow_metadata=_metadata(shown[1]),
        pod_gc=PodGC(strategy="OnPodSuccess", delete_delay_duration="600s"),
        ttl_strategy=TTLStrategy(seconds_after_completion=14 * DAY),
        **pods.spec(config),
    )
