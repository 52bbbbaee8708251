"""What is tested, found and examined before any load: a rehearsal, a Rollout, or a server alone."""

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

import msgspec

import midstream
from hooks.api_key import read_key
from hooks.layers import UsageError
from hooks.settings import Mode, Settings
from midstream.lengths import tokens_per_s
from midstream.promotion import Promoter
from midstream.rehearsal import launch
from midstream.rehearsal.plan import POD_COMMAND_LIMIT_S, RehearsalPlan
from midstream.rollouts import argo
from midstream.rollouts.budget import DrainBudget, read_budget
from midstream.rollouts.client import REHEARSAL_MARK, Cluster, ClusterError
from midstream.rollouts.path import NoPathError, ServicePath, find_path
from midstream.rollouts.preflight import PROVE, preflight, subject_images
from midstream.rollouts.serving_pods import ServingPods, serving_pods
from midstream.run import Subject
from midstream.streams.access import Proxy
from midstream.streams.capacity import KvCapacity, kv_capacity
from midstream.streams.probe import AnswerSource, ModelUnknownError, ServedModel, learn, served_models
from midstream.streams.reactor import Reactor
from midstream.streams.request import Api
from midstream.streams.secret import STARS, Secrets
from midstream.streams.target import Target
from midstream.streams.traits import Traits, TraitsUnknownError
from midstream.verdict import EXIT_USAGE

NOT_VERIFIED = ", whose certificate was not verified (--insecure)"
FALLBACK_TOKENS_PER_S = 20.0  # where a probe tells no pace: about reading speed


class StartError(Exception):
    """The test could not be begun for a reason that is no mistake of the command; nothing is known."""


@dataclass(frozen=True, kw_only=True)
class WatchedRollout:
    """The Rollout under test."""

    cluster: Cluster
    namespace: str
    name: str
    labels: str
    active_service: str
    stable: str  # pod-template-hash that serves before the test
    budget: DrainBudget
    pods: ServingPods = field(default_factory=lambda: ServingPods(ready=1))


@dataclass(frozen=True, kw_only=True)
class Tested:
    """Where the streams go, with what is known of it before the load."""

    target: Target
    api: Api
    model: str
    context_tokens: int | None
    traits: Traits
    probed_tokens_per_s: float
    subject: Subject
    capacity: KvCapacity | None = None
    prompt_tokens: Mapping[str, int] = field(default_factory=dict)  # of prompts that the server has counted
    preview: Target | None = None
    rollout: WatchedRollout | None = None
    rehearsal: launch.Rehearsal | None = None


def find_tested(
    settings: Settings, command: tuple[str, ...], reactor: Reactor, say: Callable[[str], None]
) -> Tested:
    """Everything before the load; UsageError for what the command can mend, StartError for the rest.

    Whatever is raised, a Ctrl-C too: a rehearsal that was started is ended.
    """
    if settings.mode is not Mode.REHEARSAL:
        return _examine(settings, command, reactor, None)
    rehearsal = _start_rehearsal(settings, say)
    try:
        return _examine(settings, command, reactor, rehearsal)
    except BaseException:
        rehearsal.stop()
        raise


def _start_rehearsal(settings: Settings, say: Callable[[str], None]) -> launch.Rehearsal:
    say("no target named: starting the rehearsal, an embedded cluster on this machine")
    if settings.pod_command is not None:
        say(f"its pods run your command: it has {POD_COMMAND_LIMIT_S:g} s until GET /health answers")
    try:
        return launch.start(
            msgspec.convert(settings.rehearsal, RehearsalPlan),
            settings.faults,
            pod_command=settings.pod_command,
        )
    except msgspec.ValidationError as error:
        raise UsageError(f"the rehearsal's numbers: {error}") from error
    except launch.LaunchError as error:
        if error.exit_code == EXIT_USAGE:
            raise UsageError(str(error)) from error
        raise StartError(f"the rehearsal did not start: {error}") from error


def _examine(
    settings: Settings, command: tuple[str, ...], reactor: Reactor, rehearsal: launch.Rehearsal | None
) -> Tested:
    try:
        rollout, rollout_path, preview_url = _find_rollout(settings, rehearsal)
        path = ServicePath(settings.host, "the URL given", "") if settings.host else rollout_path
        assert path is not None  # without a host there is a Rollout
        headers = request_headers(settings, os.environ)
        reactor.secrets.add(*headers.values())
        target = Target.parse(path.url, headers)
        path = _through_proxy(path, settings.access.proxy(target.scheme, target.host, target.port))
        served = _choose_model(settings, _served(settings, reactor, target), rollout)
        capacity = kv_capacity(reactor, target)  # before the probe, which would stand in it
        probed = learn(reactor, target, _api(settings), served.name)
    except (ClusterError, NoPathError, ModelUnknownError, TraitsUnknownError, ValueError) as error:
        raise UsageError(reactor.secrets.hide(str(error))) from error
    return Tested(
        target=target,
        api=_api(settings),
        model=served.name,
        context_tokens=served.context_tokens,
        traits=probed.traits,
        probed_tokens_per_s=tokens_per_s(probed.record) or FALLBACK_TOKENS_PER_S,
        subject=_subject(settings, shown_command(command, settings, reactor.secrets), target, path, rollout),
        capacity=capacity,
        preview=Target.parse(preview_url, headers) if preview_url else None,
        rollout=rollout,
        rehearsal=rehearsal,
    )


def request_headers(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """What every request carries: the headers given, with the API key; UsageError when there is no key."""
    headers = dict(settings.headers)
    key = read_key(settings, environ)
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    return headers


def shown_command(command: tuple[str, ...], settings: Settings, secrets: Secrets) -> tuple[str, ...]:
    """The command as reports show it; that of --api-key-command may hold a secret of its own."""
    own = settings.api_key_command
    words = tuple(word.replace(own, STARS) for word in command) if own else command
    return tuple(map(secrets.hide, words))


def _through_proxy(path: ServicePath, proxy: Proxy | None) -> ServicePath:
    return path if proxy is None else path._replace(words=f"{path.words}, through the proxy {proxy.where}")


def _api(settings: Settings) -> Api:
    return "chat" if settings.api == "chat" else "completions"


def _find_rollout(
    settings: Settings, rehearsal: launch.Rehearsal | None
) -> tuple[WatchedRollout | None, ServicePath | None, str | None]:
    """The Rollout, how its active Service is reached, the URL of its preview; nothing for a plain load."""
    if rehearsal is not None:
        namespace, name = rehearsal.announcement.namespace, rehearsal.announcement.rollout
        cluster = Cluster.connect(kubeconfig=rehearsal.announcement.kubeconfig)
    elif settings.rollout is not None:
        namespace, name = settings.rollout
        cluster = Cluster.connect(context=settings.context)
    else:
        return None, None, None
    for finding in preflight(cluster, namespace, name, verbs_of(settings)):
        if not finding.ok:
            raise UsageError(f"{finding.words}: {finding.mend}")
    found = cluster.get("rollouts", namespace, name)
    if found is None:
        raise UsageError(f"the Rollout {namespace}/{name} was deleted a moment ago")
    active, stable = argo.active_service(found), argo.stable_hash(found)
    assert active is not None  # preflight has seen both
    assert stable is not None
    rollout = WatchedRollout(
        cluster=cluster,
        namespace=namespace,
        name=name,
        labels=argo.label_selector(found),
        active_service=active,
        stable=stable,
        budget=read_budget(found),
        pods=serving_pods(cluster.list("pods", namespace, labels=argo.label_selector(found)).items),
    )
    path = None if settings.host else find_path(cluster, namespace, active)
    return (
        rollout,
        path,
        settings.preview_host or _preview_url(cluster, namespace, argo.preview_service(found)),
    )


def verbs_of(settings: Settings) -> frozenset[str]:
    """What will be done to the Rollout."""
    triggers = {settings.trigger or "none"} - {"none"}
    promotes = {"promote"} if settings.promoter is Promoter.HOOK else set()
    return frozenset(triggers | promotes | ({PROVE} if settings.prove else set()))


def _preview_url(cluster: Cluster, namespace: str, service: str | None) -> str | None:
    """None when nothing of the preview can be seen from here: then it is not examined, and that is said."""
    if service is None:
        return None
    try:
        return find_path(cluster, namespace, service).url
    except NoPathError:
        return None


def _served(settings: Settings, reactor: AnswerSource, target: Target) -> tuple[ServedModel, ...]:
    """The server's models; none where it lists none but the command names one. It has to answer, though."""
    try:
        return served_models(reactor, target)
    except ModelUnknownError as error:
        if settings.model is None or isinstance(error.__cause__, OSError):
            raise
        return ()


def _choose_model(
    settings: Settings, served: tuple[ServedModel, ...], rollout: WatchedRollout | None
) -> ServedModel:
    """The name clients use: not the label of one revision, which the next revision does not answer to."""
    if settings.model is not None:
        return next(
            (entry for entry in served if entry.name == settings.model), ServedModel(settings.model, None)
        )
    revision = rollout.stable if rollout else None
    return next((entry for entry in served if entry.name != revision), served[0])


def _subject(
    settings: Settings,
    command: tuple[str, ...],
    target: Target,
    path: ServicePath,
    rollout: WatchedRollout | None,
) -> Subject:
    versions = {name: version(name) for name in ("locust", "gevent", "kubernetes")}
    versions |= {"midstream": midstream.__version__, "python": platform.python_version()}
    common = Subject(
        target=target.url,
        path=path.words + (NOT_VERIFIED if settings.access.insecure else ""),
        path_proves_not=path.proves_not,
        versions=versions,
        command=command,
        seed=settings.seed,
    )
    if rollout is None:
        return common
    kubernetes = str(rollout.cluster.version().get("gitVersion", "unknown"))
    found = rollout.cluster.get("rollouts", rollout.namespace, rollout.name) or {}
    return msgspec.structs.replace(
        common,
        rehearsal=REHEARSAL_MARK in kubernetes,
        api_server=rollout.cluster.server,
        kubernetes=kubernetes,
        namespace=rollout.namespace,
        rollout=rollout.name,
        old=subject_images(rollout.cluster, rollout.namespace, found, rollout.stable) if found else None,
    )
