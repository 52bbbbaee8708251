"""A kubectl for tests: plays a scene kept in a JSON file, changes it as asked, notes every call.

Run as `python stub_kubectl.py SCENE.json WORDS...`; tests/scripts/scene.py writes the file and says what is
in it. What no rule foresees ends with code 64 and the words, so that no call goes unseen.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
UNFORESEEN = 64


def main(file: Path, argv: list[str]) -> int:
    """Answer one call."""
    scene: Object = json.loads(file.read_text())
    given = sys.stdin.read() if argv[-2:] == ["-f", "-"] else ""
    with file.with_name("calls.jsonl").open("a") as calls:
        calls.write(json.dumps({"argv": argv, "stdin": given}) + "\n")
    words, context = without_context(argv)
    if context not in (None, *scene["contexts"]):
        return fail(f'error: context "{context}" does not exist')
    for answer in scene["answers"]:
        if holds_in_order(answer["words"], words):
            sys.stdout.write(answer.get("out", ""))
            sys.stderr.write(answer.get("err", ""))
            return int(answer.get("code", 0))
    return play(scene, file, words, given)


def play(scene: Object, file: Path, words: list[str], given: str) -> int:
    """The verbs that scripts use; each needs a server that answers, but for the kubeconfig's own."""
    if words[0] == "config":
        return tell_contexts(scene["contexts"], words[1])
    if scene["down"]:
        return fail(scene["down"])
    if words[0] == "apply":
        text = given or Path(words[words.index("-f") + 1]).read_text()
        return change(scene, file, [each for each in yaml.safe_load_all(text) if each], words)
    if words[:2] == ["create", "namespace"]:
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": words[2]}}
        return change(scene, file, [made], words)
    return tell(scene, words)


def tell_contexts(contexts: list[str], verb: str) -> int:
    """What `kubectl config` knows, without a server."""
    if verb == "get-contexts":
        return say(*contexts)
    return say(contexts[0]) if contexts else fail("error: current-context is not set")


def tell(scene: Object, words: list[str]) -> int:
    """What can be read."""
    if words[0] == "version" or words[:3] == ["get", "--raw", "/version"]:
        return say(json.dumps(scene["version"]))
    if words[:2] == ["get", "namespace"] and "--ignore-not-found" in words:
        return say(f"namespace/{words[2]}") if find(scene, "Namespace", words[2]) else 0
    return fail(f"stub kubectl does not know: {' '.join(words)}", UNFORESEEN)


def change(scene: Object, file: Path, objects: list[Object], words: list[str]) -> int:
    """Put the objects in, then what the cluster makes of them; says of each whether it is new."""
    namespace = words[words.index("-n") + 1] if "-n" in words else ""
    for each in objects:
        if namespace and each["kind"] not in ("Namespace", "CustomResourceDefinition"):
            each["metadata"].setdefault("namespace", namespace)
        before = find(scene, each["kind"], each["metadata"]["name"])
        same = before is not None and before.get("applied") == each
        put(scene, each | {"applied": each} | {"status": (before or {}).get("status", {})})
        how = "unchanged" if same else "created" if before is None else "configured"
        say(f"{each['kind'].lower()}/{each['metadata']['name']} {how}")
    for each in scene["becomes"] if words[0] == "apply" else []:
        put(scene, (find(scene, each["kind"], each["metadata"]["name"]) or {}) | each)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(scene))
    new.replace(file)  # at once: the API of the scene reads it at any time
    return 0


def find(scene: Object, kind: str, name: str) -> Object | None:
    """An object of the scene."""
    for each in scene["objects"]:
        if (each["kind"], each["metadata"]["name"]) == (kind, name):
            found: Object = each
            return found
    return None


def put(scene: Object, item: Object) -> None:
    """In the place of the one with its kind and name, if there is one."""
    same = find(scene, item["kind"], item["metadata"]["name"])
    scene["objects"] = [each for each in scene["objects"] if each is not same] + [item]


def without_context(argv: list[str]) -> tuple[list[str], str | None]:
    """The words without --context NAME, which may stand anywhere; with the name."""
    if "--context" not in argv:
        return argv, None
    at = argv.index("--context")
    return argv[:at] + argv[at + 2 :], argv[at + 1]


def holds_in_order(wanted: list[str], words: list[str]) -> bool:
    """Whether all wanted words are there in their order."""
    rest = iter(words)
    return all(word in rest for word in wanted)


def say(*lines: str) -> int:
    """Lines on stdout."""
    for line in lines:
        print(line)
    return 0


def fail(words: str, code: int = 1) -> int:
    """Words on stderr, with the code to end by."""
    print(words, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
