"""The deployment files: valid by the tools that read them, and every name in them exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as Xml
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from otel_exporter.config.faults import dotted
from otel_exporter.config.fields import leaves
from processors.batch import Signal

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SETTINGS = {f"TOKENTIDE_{dotted(path).replace('.', '__').upper()}" for path, _ in leaves()}


def _yaml(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


COMPOSE = _yaml("deploy/compose.yaml")
COLLECTOR = _yaml("otelcol-config.yaml")
KUBERNETES = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "tokentide.yaml").read_text(encoding="utf-8")))


def _compose_command() -> list[str]:
    for command in (["docker", "compose"], ["docker-compose"]):
        if (
            shutil.which(command[0])
            and not subprocess.run([*command, "version"], capture_output=True, check=False).returncode
        ):
            return command
    pytest.skip("docker compose is missing: apt-get install docker-compose")


def test_docker_compose_takes_the_file() -> None:
    """`docker compose config` finds nothing wrong, with the example's environment."""
    arguments = ["-f", "compose.yaml", "--env-file", ".env.example", "config", "-q"]
    done = subprocess.run([*_compose_command(), *arguments], cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_is_pinned_checked_and_complete(name: str) -> None:
    """Image with a version, health check where the image can run one, mounted files there, volumes declared."""
    service = COMPOSE["services"][name]
    assert re.search(r":v?\d+\.\d+", service["image"])
    assert "healthcheck" in service or name == "collector"  # the Collector's image has no shell and no client
    for mount in service["volumes"]:
        source = mount.split(":")[0]
        assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], mount
    for other in service.get("depends_on", {}):
        assert "healthcheck" in COMPOSE["services"][other]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_every_variable_is_known() -> None:
    """Settings are settings of ours; what a person has to set is in the example; what a file reads is given to it."""
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    example = (DEPLOY / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+)", text)) == set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    assert set(COMPOSE["services"]["tokentide"]["environment"]) <= SETTINGS
    container = KUBERNETES[1]["spec"]["template"]["spec"]["containers"][0]
    assert {each["name"] for each in container["env"]} <= SETTINGS
    provisioning = "".join(file.read_text() for file in (ROOT / "grafana" / "provisioning").rglob("*.yaml"))
    assert set(re.findall(r"\$\{(\w+)\}", provisioning)) <= set(COMPOSE["services"]["grafana"]["environment"])
    collector = (ROOT / "otelcol-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{env:(\w+)\}", collector)) == set(COMPOSE["services"]["collector"]["environment"])
    users = (DEPLOY / "clickhouse" / "users.xml").read_text(encoding="utf-8")
    assert set(re.findall(r'from_env="(\w+)"', users)) <= set(COMPOSE["services"]["clickhouse"]["environment"])


def test_clickhouse_files_are_xml_and_bound_its_own_logs() -> None:
    """Every system log is either kept for a time or not written, and Grafana's user can only read."""
    config = Xml.parse(DEPLOY / "clickhouse" / "config.xml").getroot()
    assert len(config) > 10
    for log in config:
        assert log.get("remove") == "1" or "DELETE" in (log.findtext("ttl") or ""), log.tag
    users = Xml.parse(DEPLOY / "clickhouse" / "users.xml").getroot()
    assert users.findtext("profiles/reader/readonly") == "2"
    assert users.findtext("users/grafana/profile") == "reader"


def test_the_collector_wires_what_it_defines() -> None:
    """Each pipeline names parts that exist, every part is used, and all three signals reach Tokentide."""
    pipelines = COLLECTOR["service"]["pipelines"]
    assert {*pipelines} == {signal.value for signal in Signal}
    for kind in ("receivers", "processors", "exporters"):
        assert {part for pipeline in pipelines.values() for part in pipeline[kind]} == {*COLLECTOR[kind]}
    assert {*COLLECTOR["service"]["extensions"]} == {*COLLECTOR["extensions"]}
    assert all("otlphttp" in pipeline["exporters"] for pipeline in pipelines.values())


@pytest.mark.parametrize("manifest", KUBERNETES, ids=lambda manifest: manifest["kind"])
def test_a_manifest_is_valid(manifest: dict[str, Any]) -> None:
    """Kubernetes' own schema takes it, strictly: no unknown field."""
    kubernetes_validate.validate(manifest, "1.33", strict=True)


def test_the_ports_are_those_of_the_service() -> None:
    """What the manifests and the Collector call is where `serve` listens by default."""
    defaults = {dotted(path): field.default for path, field in leaves()}
    ports = {defaults["ingest.grpc.port"], defaults["ingest.http.port"], defaults["health.port"]}
    container = KUBERNETES[1]["spec"]["template"]["spec"]["containers"][0]
    assert {each["containerPort"] for each in container["ports"]} == ports
    assert {each["port"] for each in KUBERNETES[0]["spec"]["ports"]} == ports
    environment = COMPOSE["services"]["collector"]["environment"]
    assert environment["TOKENTIDE_ENDPOINT"].endswith(f":{defaults['ingest.http.port']}")
    assert environment["TOKENTIDE_METRICS"].endswith(f":{defaults['health.port']}")


def test_alertmanager_routes_to_receivers_that_exist() -> None:
    """No route names a receiver that is not there, and inhibition compares labels that alerts have."""
    config = _yaml("deploy/alertmanager.yml")
    receivers = {each["name"] for each in config["receivers"]}
    assert config["route"]["receiver"] in receivers
    assert all(route["receiver"] in receivers for route in config["route"].get("routes", []))
    assert all(
        {*rule["equal"]} <= {"alertname", "tenant", "team", "budget", "requested_model", "deployment_id"}
        for rule in config["inhibit_rules"]
    )
