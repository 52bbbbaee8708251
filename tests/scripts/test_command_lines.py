"""What each script asks of Python and kubectl for what it is given; bad input is one line, exit code 2."""

import re

import pytest

from tests.scripts.stage import ANSWERS, Answer, Stage

LABELS = "app=vllm,rollouts-pod-template-hash"
URL = "http://127.0.0.1:30080"
ROLLOUT = "--rollout llm-serving/vllm"
LOCUST = r"python -P -m locust -f \S+/locustfiles/stream.py --headless"
PLAIN = rf"{LOCUST} --host {URL}"


@pytest.fixture
def served(stage: Stage) -> Stage:
    """A cluster with a Rollout whose Service can be reached."""
    stage.answer("^python -P -m ", "")
    stage.answer("^python -P -m midstream path ", URL)
    stage.answer("^kubectl config get-contexts", "here\nthere\n")
    stage.answer("get rollouts.* go-template=.*matchLabels", LABELS)
    stage.answer("get rollouts.* go-template=.*activeService", "vllm-stable")
    stage.answer("^kubectl .*get pods", "pod/vllm-1\n")
    stage.answer("^kubectl .*logs ", "")
    return stage


@pytest.mark.parametrize(
    ("command", "environ", "asked"),
    [
        ("smoke_test.sh", {}, f"midstream smoke {ROLLOUT}$"),
        ("smoke_test.sh --preview --no-health", {}, f"midstream smoke {ROLLOUT} --preview --no-health$"),
        ("smoke_test.sh", {"TARGET_HOST": URL}, f"midstream smoke --host {URL}$"),
        (
            "status.sh --wait 5",
            {"NAMESPACE": "a", "ROLLOUT": "b"},
            "midstream status --rollout a/b --wait 5$",
        ),
        ("status.sh", {"CONTEXT": "there"}, f"midstream status {ROLLOUT} --context there$"),
        ("status.sh --namespace a --rollout b", {}, "midstream status --rollout a/b$"),
        ("update.sh", {"IMAGE": "i:2"}, f"midstream update {ROLLOUT} --set-image vllm=i:2$"),
        ("update.sh --model m --promote", {}, f"midstream update {ROLLOUT} --set-model m --promote$"),
        ("update.sh", {"PROMOTE": "1"}, f"midstream update {ROLLOUT} --promote$"),
        ("update.sh", {"UNDO": "1", "PROMOTE": "0"}, f"midstream update {ROLLOUT} --undo$"),
        ("load.sh", {}, f"{PLAIN} -u 4 -r 4 -t 30$"),
        ("load.sh", {"LOAD_CONCURRENCY": "8", "LOAD_DURATION": "5m"}, f"{PLAIN} -u 8 -r 8 -t 5m$"),
        ("load.sh --duration 1h --tokens 9", {"TARGET_HOST": URL}, f"{PLAIN} -u 4 -r 4 -t 1h --tokens 9$"),
        ("verify_no_downtime.sh", {"LOAD_DURATION": "7"}, f"{PLAIN} -u 4 -r 4 -t 7$"),
        ("verify_no_downtime.sh -- --tokens 9", {}, f"{PLAIN} -u 4 -r 4 -t 30 --tokens 9$"),
        (
            "verify_no_downtime.sh --promote",
            {"LOAD_CONCURRENCY": "2", "LOAD_DURATION": "3"},
            f"{LOCUST} {ROLLOUT} --trigger same$",
        ),
        (
            "verify_no_downtime.sh",
            {"PROMOTE": "1", "IMAGE": "i:2", "CONTEXT": "here"},
            f"{LOCUST} {ROLLOUT} --context here --trigger set-image --set-image vllm=i:2$",
        ),
        (
            "verify_no_downtime.sh --promote --model m -- --stream-seconds 9",
            {},
            f"{LOCUST} {ROLLOUT} --trigger set-model --set-model m --stream-seconds 9$",
        ),
        ("logs.sh", {}, f"logs -l {LABELS} --all-containers --prefix --tail 200 --max-log-requests 50$"),
        ("logs.sh --lines 5", {"FOLLOW": "1"}, "--tail 5 --max-log-requests 50 --follow$"),
        (
            "port_forward.sh --port 18765",
            {"CONTEXT": "there"},
            "midstream forward llm-serving/vllm-stable --port 18765 --context there$",
        ),
    ],
)
def test_it_ends_as_the_program_that_does_it(served, command, environ, asked) -> None:
    script, *arguments = command.split()
    served.environ |= environ
    ended = served.run(script, *arguments)
    assert (ended.code, ended.err) == (0, "")
    assert re.search(asked, served.calls[-1])


@pytest.mark.parametrize("code", [1, 2, 3])
@pytest.mark.parametrize(
    "command", ["smoke_test.sh", "status.sh", "load.sh", "verify_no_downtime.sh --promote"]
)
def test_its_exit_code_is_that_program_s(served, command, code) -> None:
    served.answer("^python -P -m (locust|midstream (smoke|status)) ", Answer(code, err="why\n"))
    ended = served.run(*command.split())
    assert (ended.code, ended.err) == (code, "why\n")


@pytest.mark.parametrize(
    ("failing", "asked"),
    [
        ("midstream plan", ["plan"]),
        ("midstream smoke", ["plan", "smoke"]),
    ],
)
def test_a_failed_step_ends_the_proof_with_its_code(served, failing, asked) -> None:
    served.answer(f"^python -P -m {failing}", Answer(3, err="why\n"))
    ended = served.run("verify_no_downtime.sh", "--promote")
    assert (ended.code, ended.err) == (3, "why\n")
    assert [call.split()[4] for call in served.asked("^python -P -m midstream")] == asked
    assert not served.asked("locust")


def test_each_step_has_its_heading(served) -> None:
    headings = re.findall("== .* ==", served.run("verify_no_downtime.sh", "--promote").out)
    assert headings == [
        "== 1 of 3: preflight ==",
        "== 2 of 3: smoke ==",
        "== 3 of 3: load under a promotion, verdict ==",
    ]


@pytest.mark.parametrize(
    ("command", "environ", "said"),
    [
        ("load.sh", {"LOAD_DURATION": "abc"}, "LOAD_DURATION=abc: .*such as LOAD_DURATION=30"),
        ("load.sh", {"LOAD_DURATION": ""}, "LOAD_DURATION=: "),
        ("load.sh", {"LOAD_CONCURRENCY": "0"}, "LOAD_CONCURRENCY=0: .*such as LOAD_CONCURRENCY=4"),
        ("verify_no_downtime.sh", {"LOAD_CONCURRENCY": "many"}, "LOAD_CONCURRENCY=many"),
        ("verify_no_downtime.sh", {"LOAD_DURATION": "-5"}, "LOAD_DURATION=-5"),
        ("load.sh --duration", {}, "--duration needs a value"),
        ("load.sh", {"TARGET_HOST": ""}, "TARGET_HOST is empty"),
        ("smoke_test.sh", {"TARGET_HOST": ""}, "TARGET_HOST is empty"),
        ("status.sh", {"CONTEXT": "moon"}, "no context moon in the kubeconfig, which has: here there"),
        ("update.sh", {}, "MODEL=.*PROMOTE=1"),
        ("verify_no_downtime.sh --fast", {}, "no option --fast"),
        ("verify_no_downtime.sh --promote", {"IMAGE": "i", "MODEL": "m"}, "give one of them"),
        ("verify_no_downtime.sh", {"IMAGE": "i"}, "PROMOTE=1"),
        ("logs.sh --lines few", {}, "--lines few"),
        ("port_forward.sh", {"LOCAL_PORT": "70000"}, "LOCAL_PORT=70000"),
        ("port_forward.sh", {"LOCAL_PORT": "http"}, "LOCAL_PORT=http"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_done(served, command, environ, said) -> None:
    script, *arguments = command.split()
    served.environ |= environ
    ended = served.run(script, *arguments)
    assert ended.code == 2
    assert re.fullmatch(rf"{script}: .*{said}.*\n", ended.err)
    assert not served.asked("python -P|logs")


NEED_A_CLUSTER = (
    "status.sh",
    "smoke_test.sh",
    "load.sh",
    "verify_no_downtime.sh",
    "logs.sh",
    "port_forward.sh",
)


@pytest.mark.parametrize("script", [*NEED_A_CLUSTER, "update.sh --promote", "deploy.sh up", "deploy.sh down"])
def test_no_cluster_is_one_line_that_knows_the_rehearsal(served, script) -> None:
    words = "E1124 memcache.go: couldn't get\nThe connection to the server localhost:8080 was refused\n"
    served.answer(ANSWERS, Answer(1, err=words))
    ended = served.run(*script.split())
    assert ended.code == 2
    assert re.fullmatch(r".*The connection to the server .*REHEARSAL=1.*\n", ended.err)


@pytest.mark.parametrize("script", [*NEED_A_CLUSTER, "update.sh --promote", "deploy.sh up", "deploy.sh down"])
def test_no_kubectl_is_one_line(served, script) -> None:
    served.without("kubectl")
    ended = served.run(*script.split())
    assert ended.code == 2
    assert re.fullmatch(r".*kubectl is not installed.*\n", ended.err)


@pytest.mark.parametrize("script", ["logs.sh", "port_forward.sh"])
def test_a_rollout_that_there_is_not_is_one_line(served, script) -> None:
    served.answer("get rollouts", Answer(1, err="Error from server (NotFound): ...\n"))
    ended = served.run(script)
    assert ended.code == 2
    assert re.fullmatch(
        rf"{script}: there is no Rollout vllm in namespace llm-serving: make up.*\n", ended.err
    )


@pytest.mark.parametrize("script", [*NEED_A_CLUSTER, "update.sh", "deploy.sh"])
def test_help_tells_the_exit_codes_from_any_folder(served, script, tmp_path) -> None:
    ended = served.run(script, "-h", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"usage: {script} ")
    assert "exit code:" in ended.out
