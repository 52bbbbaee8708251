"""Probes: what readiness says of the model, whom liveness restarts."""

from collections.abc import Iterator

from midstream.rollouts.lint.case import DEPLOYMENT, ROLLOUT, Case, Object
from midstream.rollouts.lint.finding import Finding, error, warning

# Paths that answer for the engine, not for the web server before it: vLLM, SGLang, TGI, Triton, KServe
MODEL_PATHS = frozenset(
    {"/health", "/health_generate", "/v1/models", "/ready", "/readyz", "/ping", "/v2/health/ready"}
)
PROGRESS_DEADLINE_S = 600  # default of Deployments and Rollouts


def blind_readiness(case: Case) -> Iterator[Finding]:
    """A pod is ready when startupProbe and readinessProbe have succeeded; one of them must ask the model."""
    probes = [probe for field in ("startupProbe", "readinessProbe") if (probe := case.container.get(field))]
    if not probes:
        yield error(
            "there is neither readinessProbe nor startupProbe",
            "the pod is ready as its process starts: traffic reaches an engine that still loads its model",
            "readinessProbe.httpGet.path: /health",
        )
        return
    readiness = case.container.get("readinessProbe") or probes[0]
    asked = _asks(readiness)
    if asked is not None:
        yield warning(
            f"readiness is {asked}",
            "it does not tell whether the model answers: traffic stays on an engine that cannot serve",
            "readinessProbe.httpGet.path: /health",
        )


def impatient_liveness(case: Case) -> Iterator[Finding]:
    """Kubelets stop liveness probes at a pod's deletion; until then a drain is probed like all else."""
    probe = case.container.get("livenessProbe")
    if not probe:
        return
    patience_s = probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)
    total_s = case.budget.total_s
    if total_s is not None and patience_s >= total_s:
        return
    yield warning(
        f"livenessProbe restarts the container after {patience_s} s without an answer",
        "an engine too busy to answer in time is killed with all its streams, an old one that has only its"
        " last streams left, too",
        "no livenessProbe (an engine that died ends PID 1 by itself)"
        + (f", or failureThreshold x periodSeconds of {total_s:g} s or more" if total_s is not None else ""),
    )


def short_progress_deadline(case: Case) -> Iterator[Finding]:
    """The deadline must leave the startup probe its time, and the image its pull."""
    if case.kind not in (ROLLOUT, DEPLOYMENT):
        return
    startup_s = startup_budget_s(case.container)
    told = case.spec.get("progressDeadlineSeconds")
    deadline_s = PROGRESS_DEADLINE_S if told is None else told
    if startup_s < deadline_s:
        return
    aborts = bool(case.spec.get("progressDeadlineAbort"))
    say = error if aborts else warning
    yield say(
        f"progressDeadlineSeconds is {deadline_s}{' by default' if told is None else ''}, the startupProbe"
        f" allows {startup_s} s",
        "a model that takes its time to load fails the update" + (", which is aborted" if aborts else ""),
        f"progressDeadlineSeconds: {2 * startup_s}",
    )


def startup_budget_s(container: Object) -> int:
    """How long the startup probe lets a container take; 0 without one."""
    probe = container.get("startupProbe")
    if not probe:
        return 0
    period, failures = probe.get("periodSeconds", 10), probe.get("failureThreshold", 3)
    return int(probe.get("initialDelaySeconds", 0) + period * failures)


def _asks(probe: Object) -> str | None:
    """What a probe asks that says nothing of the model; None for what may."""
    if "tcpSocket" in probe:
        return "tcpSocket: that a port is open"
    if probe.get("httpGet"):
        path = str(probe["httpGet"].get("path") or "/").partition("?")[0]
        return None if (path.rstrip("/") or "/") in MODEL_PATHS else f"GET {path}"
    return None
