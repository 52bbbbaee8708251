"""Every answer of an API server becomes plain dicts or one typed error with a sentence."""

import socket

import pytest

from midstream.rollouts import client
from midstream.rollouts.client import (
    Access,
    Cluster,
    ConflictError,
    CredentialError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    UnreachableError,
)
from tests.midstream.rollouts.objects import pod, rollout
from tests.midstream.rollouts.scripted import serving, write_kubeconfig

STATUS = Access("patch", "argoproj.io", "rollouts/status", "llm")


@pytest.fixture
def connect(tmp_path):
    def connected(url) -> Cluster:
        return Cluster.connect(write_kubeconfig(tmp_path / "config", url))

    return connected


def answering(status, body):
    return lambda exchange, _: exchange.answer(status, body)


def test_get_is_a_plain_dict(connect):
    with serving(answering(200, rollout(7))) as server:
        found = connect(server.url).get("rollouts", "llm", "vllm")
        assert found == rollout(7)
        [asked] = server.asked
        assert asked.path == "/apis/argoproj.io/v1alpha1/namespaces/llm/rollouts/vllm"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_an_api_server_on_this_machine_is_reached_without_a_proxy(connect, monkeypatch, name):
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(answering(200, rollout(7))) as server:
        assert connect(server.url).get("rollouts", "llm", "vllm") == rollout(7)


def test_what_is_not_there_is_none(connect):
    with serving(lambda exchange, _: exchange.refuse(404, "not found")) as server:
        assert connect(server.url).get("pods", "llm", "x") is None


def test_a_list_has_items_with_a_version_and_takes_selectors(connect):
    with serving(answering(200, {"metadata": {"resourceVersion": "9"}, "items": [{"a": 1}]})) as server:
        listing = connect(server.url).list("pods", "llm", labels="app=vllm", fields="metadata.name=x")
        assert listing == ([{"a": 1}], "9")
        assert server.asked[0].query == {"labelSelector": "app=vllm", "fieldSelector": "metadata.name=x"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, InvalidError),
        (401, CredentialError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (410, GoneError),
        (422, InvalidError),
        (429, UnreachableError),
        (500, UnreachableError),
        (503, UnreachableError),
    ],
)
def test_each_refusal_is_typed_and_keeps_the_servers_words(connect, status, expected):
    with (
        serving(lambda exchange, _: exchange.refuse(status, "because of this")) as server,
        pytest.raises(expected, match="because of this"),
    ):
        connect(server.url).list("pods", "llm")


def test_a_403_names_the_missing_rule(connect):
    with (
        serving(
            lambda exchange, asked: exchange.refuse(403, "no") if "status" in asked.path else None
        ) as server,
        pytest.raises(ForbiddenError) as caught,
    ):
        connect(server.url).merge_patch("rollouts", "llm", "vllm", {"status": {}}, status=True)
    rule = 'apiGroups: ["argoproj.io"], resources: ["rollouts/status"], verbs: ["patch"]'
    assert rule in str(caught.value)
    assert caught.value.access == STATUS


def test_a_status_patch_goes_to_the_subresource(connect):
    with serving(answering(200, rollout(8))) as server:
        patch = {"status": {"pauseConditions": None}}
        connect(server.url).merge_patch("rollouts", "llm", "vllm", patch, status=True)
        [asked] = server.asked
        assert asked.path.endswith("/rollouts/vllm/status")
        assert asked.content_type == "application/merge-patch+json"
        assert asked.body == patch  # the null survives: it is what lifts the pause


def test_a_status_patch_falls_back_to_the_object_where_there_is_no_subresource(connect):
    def script(exchange, asked):
        if asked.path.endswith("/status"):
            exchange.refuse(404, "the server could not find the requested resource")
        else:
            exchange.answer(200, rollout(8))

    with serving(script) as server:
        connect(server.url).merge_patch("rollouts", "llm", "vllm", {"status": {}}, status=True)
        assert [asked.path.rpartition("/")[2] for asked in server.asked] == ["status", "vllm"]


def test_a_json_patch_says_so(connect):
    """Client 37 sends a list body as merge patch unless told otherwise (facts 4)."""
    operations = [{"op": "test", "path": "/a", "value": "1"}]
    with serving(answering(200, rollout(8))) as server:
        connect(server.url).json_patch("rollouts", "llm", "vllm", operations)
        assert server.asked[0].content_type == "application/json-patch+json"
        assert server.asked[0].body == operations


def test_a_pod_is_deleted_with_the_grace_that_was_asked(connect):
    with serving(answering(200, {"kind": "Pod"})) as server:
        connect(server.url).delete("pods", "llm", "vllm-x", grace_s=0)
        [asked] = server.asked
    assert (asked.method, asked.query) == ("DELETE", {"gracePeriodSeconds": "0"})
    assert asked.path == "/api/v1/namespaces/llm/pods/vllm-x"


def test_the_last_lines_of_a_log(connect):
    def script(exchange, _):
        exchange.answer_bytes(200, "loading\nout of \xe9 memory\n".encode("latin-1"), "text/plain")

    with serving(script) as server:
        lines = connect(server.url).log("llm", "vllm-x", "vllm", lines=10)
        [asked] = server.asked
    assert lines == ("loading", "out of \ufffd memory")
    assert (asked.path, asked.query) == (
        "/api/v1/namespaces/llm/pods/vllm-x/log",
        {"container": "vllm", "tailLines": "10"},
    )


def test_a_log_of_what_has_not_started(connect):
    with (
        serving(lambda exchange, _: exchange.refuse(400, "waiting to start")) as server,
        pytest.raises(InvalidError, match="get pods/log: 400 waiting to start"),
    ):
        connect(server.url).log("llm", "vllm-x", "vllm", lines=10)


def test_a_write_is_never_sent_twice(connect):
    with serving(lambda exchange, _: exchange.cut()) as server:
        with pytest.raises(UnreachableError):
            connect(server.url).merge_patch("rollouts", "llm", "vllm", {})
        assert len(server.asked) == 1


def test_a_read_outlives_one_connection_that_was_just_closed(connect):
    def script(exchange, _):
        exchange.cut() if len(server.asked) == 1 else exchange.answer(200, rollout(8))

    with serving(script) as server:
        assert connect(server.url).get("rollouts", "llm", "vllm") == rollout(8)


@pytest.mark.parametrize("allowed", [True, False])
def test_can_asks_the_server_itself(connect, allowed):
    with serving(answering(201, {"status": {"allowed": allowed}})) as server:
        assert connect(server.url).can(STATUS) is allowed
        assert server.asked[0].body["spec"]["resourceAttributes"] == {
            "verb": "patch",
            "group": "argoproj.io",
            "resource": "rollouts",
            "subresource": "status",
            "namespace": "llm",
        }


def test_the_token_is_sent(connect):
    with serving(
        lambda exchange, _: exchange.answer(200, {"token": exchange.headers["Authorization"]})
    ) as server:
        assert connect(server.url).version() == {"token": "Bearer secret"}


def test_no_server_is_unreachable_with_its_address(connect):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = f"the API server http://127.0.0.1:{port} does not answer: connection refused"
    with pytest.raises(UnreachableError) as caught:
        connect(f"http://127.0.0.1:{port}/a-secret-path").version()
    assert str(caught.value) == said


class TestWatch:
    def events(self, cluster, **options):
        return cluster.watch("pods", "llm", "5", **options)

    def test_lines_come_as_events_however_they_are_cut(self, connect):
        def script(exchange, asked):
            exchange.open_watch()
            exchange.line("ADDED", pod("a", "h", 6))
            exchange.chunk(b'{"type":"MODIFIED","obj')
            exchange.chunk(b'ect":{"metadata":{}}}\n{"type":"BOOKMARK","object":{}}\n')
            exchange.end_watch()

        with serving(script) as server:
            watch = self.events(connect(server.url), labels="app=vllm", watch_s=7)
            assert [event.type for event in watch] == ["ADDED", "MODIFIED", "BOOKMARK"]
            assert server.asked[0].query == {
                "watch": "true",
                "allowWatchBookmarks": "true",
                "resourceVersion": "5",
                "timeoutSeconds": "7",
                "labelSelector": "app=vllm",
            }

    def test_410_in_the_stream_is_gone(self, connect):
        def script(exchange, asked):
            exchange.open_watch()
            exchange.line("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})

        with serving(script) as server, pytest.raises(GoneError, match="too old"):
            list(self.events(connect(server.url)))

    def test_410_as_a_status_is_gone(self, connect):
        with (
            serving(lambda exchange, _: exchange.refuse(410, "expired")) as server,
            pytest.raises(GoneError),
        ):
            self.events(connect(server.url))

    @pytest.mark.parametrize("how", ["cut", "reset"])
    def test_a_broken_connection_is_no_end(self, connect, how):
        def script(exchange, asked):
            exchange.open_watch()
            exchange.line("ADDED", pod("a", "h", 6))
            getattr(exchange, how)()

        with serving(script) as server, pytest.raises(UnreachableError, match="watch of pods was cut"):
            list(self.events(connect(server.url)))

    def test_a_half_open_connection_does_not_hang(self, connect, monkeypatch):
        monkeypatch.setattr(client, "WATCH_SILENCE_S", 0.1)

        def script(exchange, asked):
            exchange.open_watch()
            exchange.hold()

        with serving(script) as server, pytest.raises(UnreachableError, match="timed out"):
            list(self.events(connect(server.url), watch_s=0.1))


class TestCredentials:
    @pytest.fixture(autouse=True)
    def _nowhere(self, monkeypatch):
        monkeypatch.delenv("KUBECONFIG", raising=False)
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        monkeypatch.setattr(client, "KUBE_CONFIG_DEFAULT_LOCATION", "/nonexistent/config")

    def test_none_at_all(self):
        with pytest.raises(CredentialError, match="no kubeconfig was found, nor is this a pod"):
            Cluster.connect()

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(CredentialError, match=r"gone\.yaml cannot be used"):
            Cluster.connect(str(tmp_path / "gone.yaml"))

    def test_a_file_that_is_no_kubeconfig(self, tmp_path):
        path = tmp_path / "config"
        path.write_text("- 1\n- 2\n")
        with pytest.raises(CredentialError, match="cannot be used"):
            Cluster.connect(str(path))

    def test_a_context_that_is_not_in_it(self, tmp_path):
        path = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1")
        with pytest.raises(CredentialError, match=r"no context other in .*config, which has: test$"):
            Cluster.connect(path, "other")

    def test_no_current_context(self, tmp_path):
        path = tmp_path / "config"
        write_kubeconfig(path, "http://127.0.0.1:1")
        path.write_text(path.read_text().replace("current-context", "ancient-context"))
        with pytest.raises(CredentialError, match="no current context: name one of test "):
            Cluster.connect(str(path))

    @pytest.mark.parametrize("text", ["a: [", "only words", "- 1", "contexts: [{}]"])
    def test_a_file_of_another_shape(self, tmp_path, text):
        path = tmp_path / "config"
        path.write_text(text)
        with pytest.raises(CredentialError, match="cannot be used"):
            Cluster.connect(str(path))

    def test_the_environment_names_the_file(self, tmp_path, monkeypatch):
        path = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1")
        monkeypatch.setenv("KUBECONFIG", path)
        assert Cluster.connect().server == "http://127.0.0.1:1"


class TestCredentialsThatChange:
    """The old token gets 401 from one moment on; the new one is where the old one was."""

    VALID = "Bearer second"

    def script(self, exchange, _):
        if exchange.headers["Authorization"] == self.VALID:
            exchange.answer(200, rollout(7))
        else:
            exchange.refuse(401, "Unauthorized")

    def token_file(self, tmp_path, url):
        file = tmp_path / "token"
        path = write_kubeconfig(tmp_path / "config", url, {"tokenFile": str(file)})
        return path, lambda token: file.write_text(f"{token}\n")

    def exec_plugin(self, tmp_path, url):
        file = tmp_path / "token"
        plugin = tmp_path / "plugin"
        plugin.write_text(
            "#!/bin/sh\n"
            f'test -s {file} || exit 1\nprintf \'{{"apiVersion":"client.authentication.k8s.io/v1",'
            f'"kind":"ExecCredential","status":{{"token":"%s"}}}}\' "$(cat {file})"\n'
        )
        plugin.chmod(0o755)
        user = {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": str(plugin),
                "interactiveMode": "Never",
            }
        }
        return write_kubeconfig(tmp_path / "config", url, user), file.write_text

    def kubeconfig_itself(self, tmp_path, url):
        path = tmp_path / "config"
        return str(path), lambda token: write_kubeconfig(path, url, {"token": token})

    @pytest.mark.parametrize("kind", ["token_file", "exec_plugin", "kubeconfig_itself"])
    def test_a_refused_token_is_read_again(self, tmp_path, kind):
        with serving(self.script) as server:
            path, write = getattr(self, kind)(tmp_path, server.url)
            write("first")
            cluster = Cluster.connect(path)
            write("second")
            assert cluster.get("rollouts", "llm", "vllm") == rollout(7)
            assert len(server.asked) == 2
            assert cluster.merge_patch("rollouts", "llm", "vllm", {}) == rollout(7)
            assert len(server.asked) == 3  # the new one is kept

    def test_the_token_of_a_pod_too(self, tmp_path, monkeypatch):
        token = tmp_path / "token"
        token.write_text("first")
        monkeypatch.setattr(self, "VALID", "bearer second", raising=False)

        def load(configuration):
            configuration.host = server.url
            configuration.api_key["BearerToken"] = "bearer " + token.read_text()

        monkeypatch.setattr(client, "load_incluster_config", load)
        monkeypatch.setattr(client, "KUBE_CONFIG_DEFAULT_LOCATION", "/nonexistent/config")
        monkeypatch.delenv("KUBECONFIG", raising=False)
        with serving(self.script) as server:
            cluster = Cluster.connect()
            token.write_text("second")
            assert cluster.get("rollouts", "llm", "vllm") == rollout(7)

    @pytest.mark.parametrize("kind", ["token_file", "exec_plugin"])
    def test_what_cannot_be_read_leaves_the_servers_own_words(self, tmp_path, kind):
        with serving(self.script) as server:
            path, write = getattr(self, kind)(tmp_path, server.url)
            write("first")
            cluster = Cluster.connect(path)
            (tmp_path / "token").unlink()
            with pytest.raises(CredentialError, match="401 Unauthorized"):
                cluster.get("rollouts", "llm", "vllm")

    def test_a_token_that_stays_refused_is_not_read_for_each_request(self, tmp_path):
        with serving(self.script) as server:
            path, write = self.token_file(tmp_path, server.url)
            write("first")
            cluster = Cluster.connect(path)
            for _ in range(3):
                with pytest.raises(CredentialError):
                    cluster.get("rollouts", "llm", "vllm")
            assert len(server.asked) == 4
