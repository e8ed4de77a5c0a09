"""Settings of a cluster's processes: options come first, then `RAPPORT_` variables, a file of them, defaults.

Everything wrong is told at once, before anything is opened. A secret is read from a file that a setting names; it has
no default, it is never printed, and neither is the value of a setting that should have named its file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schemas.errors import SettingsError
from schemas.nearest import nearest
from stream.kafka.cluster import Cluster, Mechanism, Protocol, Security

PREFIX = "RAPPORT_"
FILE = "RAPPORT_SETTINGS_FILE"
"""A file with a line NAME=value for each of these settings."""
TESTS = re.compile(r"RAPPORT_(TEST_\w+|SEEDS?)")
"""Variables of the tests, which processes that they start inherit."""
TOKEN_LENGTH = 16
SECRET_BYTES = 4_096
_BROKER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_NAME = r"[A-Za-z0-9._-]"
_NAMED = "letters, digits, dots, dashes and underscores, at most 200"


def _listed(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class Settings(BaseSettings):
    """Each field is the variable `RAPPORT_` and its name; its description says what to write."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", validate_default=True, env_ignore_empty=True
    )

    brokers: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="HOST:PORT of one or more brokers, with commas between them"
    )
    security: Annotated[Protocol, BeforeValidator(_lower)] = Field(
        "plaintext", description="plaintext, ssl, sasl_plaintext or sasl_ssl"
    )
    sasl_mechanism: Annotated[Mechanism | None, BeforeValidator(_upper)] = Field(
        None, description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    sasl_username: str | None = Field(None, description="the user's name")
    sasl_password_file: Path | None = Field(None, description="a file that holds the password and nothing else")
    ssl_cafile: Path | None = Field(None, description="a PEM file of the certificates to trust")
    ssl_certfile: Path | None = Field(None, description="a PEM file of this client's certificate")
    ssl_keyfile: Path | None = Field(None, description="a PEM file of that certificate's key")
    topic_prefix: str = Field("", pattern=f"^{_NAME}{{0,200}}$", description=_NAMED)
    group: str = Field("rapport", pattern=f"^{_NAME}{{1,200}}$", description=_NAMED)
    partitions: int = Field(8, ge=1, le=1_000, description="a whole number from 1 to 1000")
    replication: int | None = Field(None, ge=1, le=9, description="a whole number from 1 to 9")
    data: Path = Field(Path("data"), description="this process's data folder")
    plan: Path | None = Field(None, description="the plan folder")
    commit_records: int = Field(40, ge=1, le=10_000, description="a whole number from 1 to 10000")
    commit_ms: int = Field(50, ge=1, le=5_000, description="milliseconds from 1 to 5000")
    rows_cached: int = Field(50_000, ge=1_000, le=10_000_000, description="a whole number from 1000 to 10000000")
    http_host: str = Field("127.0.0.1", min_length=1, description="the address to listen on")
    http_port: int = Field(0, ge=0, le=65_535, description="a port from 0 to 65535; 0 picks a free one")
    http_token_file: Path | None = Field(
        None, description=f"a file that holds {TOKEN_LENGTH} characters or more that callers must show"
    )

    @field_validator("brokers")
    @classmethod
    def _addresses(cls, brokers: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [each for each in brokers if not (found := _BROKER.fullmatch(each)) or not 0 < int(found[2]) < 65_536]
        if wrong:
            raise ValueError(f"has {', '.join(map(repr, wrong))}: write HOST:PORT, for example localhost:9092")
        return brokers

    @field_validator("sasl_mechanism", "sasl_username", "sasl_password_file")
    @classmethod
    def _complete(cls, value: Any, info: ValidationInfo) -> Any:
        security = info.data.get("security")
        if security is not None and security.startswith("sasl") != (value is not None):
            if value is None:
                raise ValueError(f"is missing: {PREFIX}SECURITY={security} needs it")
            raise ValueError(f"means nothing with {PREFIX}SECURITY={security}: write sasl_ssl or sasl_plaintext")
        return value

    @field_validator("ssl_cafile", "ssl_certfile", "ssl_keyfile")
    @classmethod
    def _encrypted(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        security = info.data.get("security")
        if file is None or security is None:
            return file
        if "ssl" not in security:
            raise ValueError(f"means nothing with {PREFIX}SECURITY={security}: write ssl or sasl_ssl")
        if not file.is_file():
            raise ValueError("names no file")
        return file

    @field_validator("ssl_keyfile")
    @classmethod
    def _paired(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if "ssl_certfile" in info.data and (file is None) != (info.data["ssl_certfile"] is None):
            raise ValueError(f"and {PREFIX}SSL_CERTFILE belong together: set both or neither")
        return file

    @field_validator("sasl_password_file", "http_token_file")
    @classmethod
    def _readable(cls, file: Path | None) -> Path | None:
        if file is not None:
            _secret(file)
        return file

    @field_validator("http_token_file")
    @classmethod
    def _guarded(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        host = info.data.get("http_host")
        if file is None:
            if host is not None and not _loopback(host):
                raise ValueError(f"is missing: {PREFIX}HTTP_HOST={host} lets others in, who must show a token")
        elif len(_secret(file)) < TOKEN_LENGTH:
            raise ValueError(f"holds a token of fewer than {TOKEN_LENGTH} characters: take a longer one")
        return file

    def cluster(self) -> Cluster:
        """What the processes are made from; reads the secrets."""
        return Cluster(
            brokers=self.brokers,
            data=self.data,
            security=Security(
                self.security,
                self.sasl_mechanism,
                self.sasl_username,
                None if self.sasl_password_file is None else _secret(self.sasl_password_file),
                self.ssl_cafile,
                self.ssl_certfile,
                self.ssl_keyfile,
            ),
            prefix=self.topic_prefix,
            group=self.group,
            partitions=self.partitions,
            replication=self.replication,
            commit_records=self.commit_records,
            commit_ms=self.commit_ms,
            rows_cached=self.rows_cached,
            http_host=self.http_host,
            http_port=self.http_port,
            http_token=None if self.http_token_file is None else _secret(self.http_token_file),
        )


class _Connected(Settings):
    """Settings of whoever cannot do without brokers."""

    @field_validator("brokers")
    @classmethod
    def _named(cls, brokers: tuple[str, ...]) -> tuple[str, ...]:
        if not brokers:
            raise ValueError("is missing: name the brokers there or with --brokers HOST:PORT,...")
        return brokers


def load(**options: Any) -> Settings:
    """The settings; an option that is None was not given. Raises SettingsError with a line for everything wrong."""
    return _loaded(Settings, options)


def cluster(**options: Any) -> Cluster:
    """The cluster that the settings name. Raises SettingsError, also where they name no brokers."""
    return _loaded(_Connected, options).cluster()


def _loaded(kind: type[Settings], options: dict[str, Any]) -> Settings:
    given = {name: value for name, value in options.items() if value is not None}
    file = os.environ.get(FILE)
    if file and not Path(file).is_file():
        raise SettingsError(f"{FILE} names no file: {file}")
    wrong = [_unknown(name) for name in unknown(os.environ)]
    try:
        loaded = kind(_env_file=file or None, **given)  # type: ignore[call-arg]
    except ValidationError as error:
        raise SettingsError("\n".join([*wrong, *(_sentence(each, given) for each in error.errors())])) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is not UTF-8: write a line NAME=value for each setting") from None
    if wrong:
        raise SettingsError("\n".join(wrong))
    return loaded


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Variables with our prefix that mean nothing, without those that Kubernetes makes of a service with our name."""
    ours = {PREFIX + name.upper() for name in Settings.model_fields} | {FILE}
    hosts = "_SERVICE_HOST"
    services = tuple(
        f"{name.removesuffix(hosts)}_{part}"
        for name in environment
        if name.endswith(hosts)
        for part in ("SERVICE_", "PORT")
    )
    return sorted(
        name
        for name in environment
        if name.startswith(PREFIX) and name not in ours and not TESTS.fullmatch(name) and not name.startswith(services)
    )


def _unknown(name: str) -> str:
    near = nearest(name, (PREFIX + known.upper() for known in Settings.model_fields))
    return f"{name} is no setting" + (f"; did you mean {near}?" if near else ": docs/settings.md has them all")


def _sentence(error: Any, given: dict[str, Any]) -> str:
    field = str(error["loc"][0])
    if field not in Settings.model_fields:
        return _unknown(field.upper())
    name = f"--{field.replace('_', '-')}" if field in given else PREFIX + field.upper()
    if error["type"] == "value_error":
        return f"{name} {error['ctx']['error']}"
    return f"{name} is {error['input']!r}: write {Settings.model_fields[field].description}"


def _secret(file: Path) -> str:
    """What a file holds, without the line end. An error never names the file: that may be the secret itself."""
    try:
        with file.open("rb") as opened:
            held = opened.read(SECRET_BYTES + 1)
        secret = held.decode().rstrip("\r\n")
    except (OSError, ValueError):
        raise ValueError("names no file that can be read: write the secret into a file and its path here") from None
    if not secret or len(held) > SECRET_BYTES:
        raise ValueError(f"names a file that is empty or longer than {SECRET_BYTES} bytes")
    return secret


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
