"""A broker that asks who one is: by password in the clear (`sasl_address`) and by password over TLS (`tls_address`).

At `plain_address` it takes passwords by PLAIN alone, at `mutual_address` it asks for a certificate.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rapport.demo.broker import OPEN, JarBroker, NoBroker, free_ports

_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_STORE_PASSWORD = "only-for-tests"


class GuardedBroker(JarBroker):
    """Knows these users (name: password), by PLAIN and SCRAM. `cafile` holds the certificate to trust."""

    def __init__(self, users: Mapping[str, str]) -> None:
        if not (shutil.which("java") and shutil.which("keytool") and shutil.which("mvn")):
            raise NoBroker("A Kafka broker with users and a certificate is needed: Java 17 and Maven.")
        listeners = {
            name: f"127.0.0.1:{port}"
            for name, port in zip(("SASL", "TLS", "ONLY", "MUTUAL"), free_ports(4), strict=True)
        }
        self.sasl_address, self.tls_address, self.plain_address, self.mutual_address = listeners.values()
        self._keys = Path(tempfile.mkdtemp(prefix="rapport-keys-"))
        self.cafile = self._keys / "broker.pem"
        store = self._keys / "broker.p12"
        _certify(store, self.cafile)
        settings = {
            "listener.security.protocol.map": f"{OPEN},SASL:SASL_PLAINTEXT,TLS:SASL_SSL,ONLY:SASL_PLAINTEXT,MUTUAL:SSL",
            "listener.name.only.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.mutual.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "ssl.keystore.location": str(store),
            "ssl.keystore.password": _STORE_PASSWORD,
            "ssl.keystore.type": "PKCS12",
        }
        known = " ".join(f'user_{name}="{password}"' for name, password in users.items())
        for listener in ("sasl", "tls", "only"):
            settings[f"listener.name.{listener}.plain.sasl.jaas.config"] = f"{_PLAIN} {known};"
            for mechanism in ("scram-sha-256", "scram-sha-512"):
                settings[f"listener.name.{listener}.{mechanism}.sasl.jaas.config"] = _SCRAM
        super().__init__(settings, listeners, users)

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self._keys, ignore_errors=True)


def _certify(store: Path, certificate: Path) -> None:
    """A key and a certificate that it signs itself, for this machine's address."""
    common = ["-alias", "broker", "-keystore", str(store), "-storetype", "PKCS12", "-storepass", _STORE_PASSWORD]
    about = [
        "-keyalg",
        "EC",
        "-dname",
        "CN=broker",
        "-validity",
        "30",
        "-ext",
        "san=ip:127.0.0.1",
        "-ext",
        "bc:c=ca:true",
    ]
    subprocess.run(["keytool", "-genkeypair", *common, *about], check=True, capture_output=True)
    subprocess.run(
        ["keytool", "-exportcert", "-rfc", *common, "-file", str(certificate)], check=True, capture_output=True
    )
