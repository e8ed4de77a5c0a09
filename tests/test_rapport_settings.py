"""Settings of a cluster's processes: where they come from, everything wrong at once, no secret anywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conftest import Rapport
from rapport import settings
from rapport.commands.options import plan_of_cluster
from schemas.errors import SettingsError
from stream.kafka.cluster import Cluster, Security

SECRET = "correct-horse-battery"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    return file


def environment(monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"RAPPORT_{name}", str(value))


def refusal(**options: object) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        settings.cluster(**options)
    assert refused.value.exit_code == 2
    return str(refused.value).splitlines()


def test_defaults_need_only_brokers():
    assert settings.cluster(brokers="localhost:9092") == Cluster(("localhost:9092",), Path("data"))


def test_every_setting_reaches_the_cluster(monkeypatch, secret, tmp_path):
    pem = tmp_path / "any.pem"
    pem.write_text("")
    environment(
        monkeypatch,
        BROKERS="a:9092, [::1]:9093,",
        SECURITY="SASL_SSL",
        SASL_MECHANISM="scram-sha-512",
        SASL_USERNAME="ann",
        SASL_PASSWORD_FILE=secret,
        SSL_CAFILE=pem,
        SSL_CERTFILE=pem,
        SSL_KEYFILE=pem,
        TOPIC_PREFIX="eu.",
        GROUP="crm",
        PARTITIONS=12,
        REPLICATION=3,
        DATA=tmp_path,
        COMMIT_RECORDS=100,
        COMMIT_MS=20,
        ROWS_CACHED=1000,
        HTTP_HOST="0.0.0.0",
        HTTP_PORT=8080,
        HTTP_TOKEN_FILE=secret,
    )
    made = settings.cluster()
    assert made == Cluster(
        brokers=("a:9092", "[::1]:9093"),
        data=tmp_path,
        security=Security("sasl_ssl", "SCRAM-SHA-512", "ann", SECRET, pem, pem, pem),
        prefix="eu.",
        group="crm",
        partitions=12,
        replication=3,
        commit_records=100,
        commit_ms=20,
        rows_cached=1000,
        http_host="0.0.0.0",
        http_port=8080,
        http_token=SECRET,
    )
    assert (made.topic("events"), made.consumer_group) == ("eu.events", "eu.crm")
    assert SECRET not in repr(made)


def test_options_come_before_variables_and_variables_before_the_file(monkeypatch, tmp_path):
    file = tmp_path / "rapport.env"
    file.write_text("RAPPORT_BROKERS=file:1\nRAPPORT_GROUP=file\nRAPPORT_PARTITIONS=3\n")
    environment(monkeypatch, SETTINGS_FILE=file, BROKERS="variable:1", GROUP="variable")
    made = settings.cluster(brokers="option:1", http_port=None)
    assert (made.brokers, made.group, made.partitions, made.http_port) == (("option:1",), "variable", 3, 0)


def test_an_empty_variable_counts_as_absent(monkeypatch):
    environment(monkeypatch, SASL_PASSWORD_FILE="", PARTITIONS="")
    assert settings.cluster(brokers="a:1").partitions == 8


def test_everything_wrong_is_told_at_once(monkeypatch):
    environment(
        monkeypatch,
        BROKERS="nowhere",
        SECURITY="sasl_plaintext",
        SASL_MECHANISM="GSSAPI",
        TOPIC_PREFIX="a b",
        PARTITIONS="many",
        REPLICATION=0,
        COMMIT_MS=60_000,
        HTTP_HOST="10.0.0.1",
    )
    assert refusal(http_port=70_000) == [
        "RAPPORT_BROKERS has 'nowhere': write HOST:PORT, for example localhost:9092",
        "RAPPORT_SASL_MECHANISM is 'GSSAPI': write PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        "RAPPORT_SASL_USERNAME is missing: RAPPORT_SECURITY=sasl_plaintext needs it",
        "RAPPORT_SASL_PASSWORD_FILE is missing: RAPPORT_SECURITY=sasl_plaintext needs it",
        "RAPPORT_TOPIC_PREFIX is 'a b': write letters, digits, dots, dashes and underscores, at most 200",
        "RAPPORT_PARTITIONS is 'many': write a whole number from 1 to 1000",
        "RAPPORT_REPLICATION is '0': write a whole number from 1 to 9",
        "RAPPORT_COMMIT_MS is '60000': write milliseconds from 1 to 5000",
        "--http-port is 70000: write a port from 0 to 65535; 0 picks a free one",
        "RAPPORT_HTTP_TOKEN_FILE is missing: RAPPORT_HTTP_HOST=10.0.0.1 lets others in, who must show a token",
    ]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"BROKERS": ""}, "RAPPORT_BROKERS is missing: name the brokers there or with --brokers HOST:PORT,..."),
        ({"BROKERS": "a:0"}, "RAPPORT_BROKERS has 'a:0': write HOST:PORT, for example localhost:9092"),
        ({"SECURITY": "tls"}, "RAPPORT_SECURITY is 'tls': write plaintext, ssl, sasl_plaintext or sasl_ssl"),
        (
            {"SASL_USERNAME": "ann"},
            "RAPPORT_SASL_USERNAME means nothing with RAPPORT_SECURITY=plaintext: write sasl_ssl or sasl_plaintext",
        ),
        (
            {"SSL_CAFILE": "/dev/null"},
            "RAPPORT_SSL_CAFILE means nothing with RAPPORT_SECURITY=plaintext: write ssl or sasl_ssl",
        ),
        ({"SECURITY": "ssl", "SSL_CAFILE": "/no/such"}, "RAPPORT_SSL_CAFILE names no file"),
        (
            {"SECURITY": "ssl", "SSL_KEYFILE": __file__},
            "RAPPORT_SSL_KEYFILE and RAPPORT_SSL_CERTFILE belong together: set both or neither",
        ),
        ({"SETTINGS_FILE": "/no/such"}, "RAPPORT_SETTINGS_FILE names no file: /no/such"),
    ],
)
def test_each_mistake_has_its_sentence(monkeypatch, values, told):
    environment(monkeypatch, **{"BROKERS": "a:1", **values})
    assert refusal() == [told]


def test_a_misspelt_name_in_the_file_is_told_with_the_nearest(monkeypatch, tmp_path):
    file = tmp_path / "rapport.env"
    file.write_text("RAPPORT_BROKERS=a:1\nRAPPORT_PARTITION=3\n")
    environment(monkeypatch, SETTINGS_FILE=file)
    assert refusal() == ["RAPPORT_PARTITION is no setting; did you mean RAPPORT_PARTITIONS?"]


def test_an_unknown_variable_is_told_with_the_nearest_beside_everything_else(monkeypatch):
    environment(monkeypatch, SASL_PASSWORD="hush", PARTITION=3, COMMIT_MS=0)
    told = [
        "RAPPORT_PARTITION is no setting; did you mean RAPPORT_PARTITIONS?",
        "RAPPORT_SASL_PASSWORD is no setting; did you mean RAPPORT_SASL_PASSWORD_FILE?",
        "RAPPORT_COMMIT_MS is '0': write milliseconds from 1 to 5000",
    ]
    assert refusal(brokers="a:1") == told
    environment(monkeypatch, COMMIT_MS=5)
    assert refusal(brokers="a:1") == told[:2]


def test_variables_that_others_make_are_no_mistakes():
    of_a_service = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8080_TCP", "PORT_8080_TCP_ADDR")
    made = [f"RAPPORT_WORKER_{each}" for each in of_a_service]
    assert settings.unknown(dict.fromkeys(made, "10.0.0.1")) == []
    assert settings.unknown(dict.fromkeys(made[1:], "10.0.0.1")) == made[3:4] + made[4:] + made[1:3]
    assert settings.unknown({"RAPPORT_TEST_BROKER": "a:1", "RAPPORT_SEED": "7", "OTHER": "x"}) == []


def test_the_doctor_finds_brokers_in_the_file(rapport: Rapport, monkeypatch, tmp_path):
    monkeypatch.setattr("stream.kafka.clients.REQUEST_TIMEOUT", 0.2)
    file = tmp_path / "rapport.env"
    file.write_text("RAPPORT_BROKERS=127.0.0.1:9\n")
    environment(monkeypatch, SETTINGS_FILE=file)
    assert rapport("doctor", "--data", tmp_path, "--json").json["findings"][-1]["check"] == "brokers"
    file.write_text("RAPPORT_GROUP=any\n")
    checks = {each["check"] for each in rapport("doctor", "--data", tmp_path, "--json").json["findings"]}
    assert "brokers" not in checks


def test_a_plan_named_in_the_file_is_the_plan(monkeypatch, tmp_path):
    file = tmp_path / "rapport.env"
    file.write_text("RAPPORT_PLAN=a-plan\n")
    environment(monkeypatch, SETTINGS_FILE=file)
    assert (plan_of_cluster(None), plan_of_cluster(Path("b"))) == (Path("a-plan"), Path("b"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_this_machine_alone_needs_no_token(monkeypatch, host):
    environment(monkeypatch, HTTP_HOST=host)
    assert settings.cluster(brokers="a:1").http_token is None


def test_a_secret_where_its_file_should_stand_is_not_repeated(monkeypatch):
    environment(monkeypatch, BROKERS="a:1", HTTP_TOKEN_FILE=SECRET)
    assert refusal() == [
        "RAPPORT_HTTP_TOKEN_FILE names no file that can be read: write the secret into a file and its path here"
    ]


@pytest.mark.parametrize("held", [b"", b"\n", b"x" * 5_000, b"short", b"\xff\xfe" * 20])
def test_a_token_file_holds_a_token(monkeypatch, tmp_path, held):
    file = tmp_path / "token"
    file.write_bytes(held)
    environment(monkeypatch, BROKERS="a:1", HTTP_TOKEN_FILE=file)
    (told,) = refusal()
    assert told.startswith("RAPPORT_HTTP_TOKEN_FILE ")
    assert "short" not in told


def test_config_show_tells_every_setting_and_no_secret(rapport: Rapport, monkeypatch, secret):
    environment(
        monkeypatch,
        SECURITY="sasl_ssl",
        SASL_MECHANISM="PLAIN",
        SASL_USERNAME="ann",
        SASL_PASSWORD_FILE=secret,
        HTTP_TOKEN_FILE=secret,
    )
    for arguments in (("--redacted",), (), ("--json",), ("--redacted", "--json")):
        shown = rapport("config", "show", "--brokers", "a:1,b:2", *arguments)
        assert shown.code == 0
        assert SECRET not in shown.text + shown.err
        assert all(f"RAPPORT_{name.upper()}" in shown.text for name in settings.Settings.model_fields)
    found = rapport("config", "show", "--brokers", "a:1,b:2", "--json").json
    assert found["RAPPORT_BROKERS"] == {"value": ["a:1", "b:2"], "from": "set"}
    assert found["RAPPORT_PARTITIONS"] == {"value": 8, "from": "default"}
    assert found["RAPPORT_SASL_PASSWORD_FILE"] == {"value": str(secret), "from": "set"}


def test_config_show_refuses_what_the_processes_would_refuse(rapport: Rapport, monkeypatch):
    environment(monkeypatch, PARTITIONS="0", COMMIT_MS="0")
    ended = rapport("config", "show", "--redacted")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, b"", 2)


def test_without_the_extra_packages_the_command_says_what_to_install(rapport: Rapport, monkeypatch):
    monkeypatch.setattr("rapport.commands.options.find_spec", lambda name: None if name == "kafka" else name)
    ended = rapport("topics", "check", "--brokers", "a:1")
    assert (ended.code, ended.err) == (
        2,
        "rapport: Kafka needs more packages (kafka): pip install '.[cluster]' in the clone of Rapport\n",
    )


def test_every_setting_is_documented_with_its_default():
    text = (Path(__file__).parents[1] / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(RAPPORT_\w+)` \| (.+?) \|", text, re.MULTILINE)
    assert [name for name, _ in rows] == [f"RAPPORT_{name.upper()}" for name in settings.Settings.model_fields]
    for (_, told), field in zip(rows, settings.Settings.model_fields.values(), strict=True):
        if field.default not in (None, "", ()):
            assert told.strip("`") == str(field.default)
