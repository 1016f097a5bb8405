"""Containers: the manifests fit their schemas and each other, and what they start works."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import yaml

DEPLOY = Path(__file__).parents[2] / "examples" / "deploy"
KEYS = {"OPENAI_API_KEY": "sk-secret-0123456789abcdef", "ANTHROPIC_API_KEY": "sk-ant-secret-0123456789abcdef"}


@pytest.fixture
def manifests():
    return list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))


def docker_commands():
    """Instructions and their arguments."""
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    return [(line.split()[0], line.partition(" ")[2]) for line in lines if line]


def test_manifests_fit_the_schemas(manifests):
    """Of several versions of Kubernetes, with no key unknown to them."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    assert [one["kind"] for one in manifests] == [
        *("Secret", "ConfigMap", "Deployment", "Service", "PodDisruptionBudget")
    ]
    for version in ("1.29", "1.31", "1.33"):
        for one in manifests:
            kubernetes_validate.validate(one, version, strict=True)


def test_manifests_fit_each_other(manifests):
    """Every name that is referred to exists, and the file is the one beside it."""
    secret, config, deployment, service, _ = manifests
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    named = [one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one]
    assert {one["name"] for one in named} == {secret["metadata"]["name"]}
    assert {one["key"] for one in named} == set(secret["stringData"])
    assert yaml.safe_load(config["data"]["config.yaml"]) == yaml.safe_load((DEPLOY / "config.yaml").read_text())
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["replicas"] == 3
    assert container["resources"]["limits"] == {"memory": "512Mi", "cpu": "500m"}
    source = (DEPLOY / "app.py").read_text()
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert f'"{container[probe]["httpGet"]["path"]}"' in source


def test_the_compose_file_is_whole():
    """Its services, volumes and files exist; no key stands in it."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for service in compose["services"].values():
        assert set(service.get("depends_on", ())) <= set(compose["services"])
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).exists()
    environment = compose["services"]["chat"]["environment"]
    assert all(str(value).startswith("${") for name, value in environment.items() if name.endswith("_KEY"))


def test_the_compose_file_is_read_by_docker():
    """As its own command reads it."""
    done = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False) if _docker() else None
    if done is None or done.returncode:
        pytest.skip("needs docker compose")
    command = ["docker", "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "-q"]
    done = subprocess.run(command, env=os.environ | KEYS, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def _docker():
    import shutil

    return shutil.which("docker")


def test_the_image_has_what_it_copies():
    """And does not run as root, nor has a key in it."""
    commands = docker_commands()
    for _, arguments in (one for one in commands if one[0] == "COPY"):
        assert all((DEPLOY / name).exists() for name in arguments.split()[:-1])
    assert ("USER", "app") in commands
    ignored = (DEPLOY / ".dockerignore").read_text().split()
    assert ignored[0] == "*"
    assert not any(re.search(r"sk-|KEY=", arguments) for _, arguments in commands)


def test_what_the_image_starts_works(tmp_path):
    """Its own command, with the file; then the probes, and an end in time."""
    from contextlib import suppress

    commands = dict(docker_commands())
    program, *arguments = json.loads(commands["CMD"])
    place = arguments.index("--port") + 1
    arguments[place] = port = "18931"
    arguments[arguments.index("--host") + 1] = "127.0.0.1"
    environment = os.environ | KEYS | {"LOG_LEVEL": "info"}
    command = [str(Path(sys.executable).parent / program), *arguments]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=DEPLOY, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(200):
            with suppress(requests.ConnectionError):
                if requests.get(f"http://127.0.0.1:{port}/health/live", timeout=5).ok:
                    break
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.1)
        assert requests.get(f"http://127.0.0.1:{port}/health/ready", timeout=5).text == "ok"
        check = re.search(r"CMD (\[.*\])", commands["HEALTHCHECK"])[1].replace("8080", port)
        python, *rest = json.loads(check)
        assert python == "python"
        subprocess.run([sys.executable, *rest], check=True, timeout=20)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    printed = (tmp_path / "log").read_text()
    assert not any(key in printed for key in KEYS.values()), printed
    assert shlex.split(commands["RUN"])[2] == "provider-kit[redis,fast]"
