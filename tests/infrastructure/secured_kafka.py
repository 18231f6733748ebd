"""A real Kafka that asks for a certificate's trust, a user and a password, and allows only what ACLs list."""

import datetime
import ipaddress
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.kit.bus.kafka_client import KafkaSettings
from tests.infrastructure.kafka_server import LOWERED_BOUNDS, KafkaServer, fetch_libraries, find_java, format_storage
from tests.infrastructure.process import ServerProcess, folder_of_this_run, free_port

ADMIN = "admin"
SLOWEST_START_SECONDS = 180.0
PARTITIONS = 2
ONE_DAY = datetime.timedelta(days=1)


@dataclass
class SecuredKafka(KafkaServer):
    """`passwords` by user; `admin` is the super user."""

    ca_file: Path = field(kw_only=True)
    passwords: Mapping[str, str] = field(kw_only=True, repr=False)

    def settings(self, user: str, password: str | None = None, **changes: object) -> KafkaSettings:
        values = {
            "bootstrap": self.bootstrap,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "username": user,
            "password": password or self.passwords[user],
            "ssl_context": ssl.create_default_context(cafile=self.ca_file),
            "start_seconds": 20.0,
            "send_seconds": 30.0,
        }
        return KafkaSettings(**{**values, **changes})  # type: ignore[arg-type]

    def environment(self, user: str, password: str | None = None) -> dict[str, str]:
        """What a process reads that enters as this user."""
        return {
            "MAINSTAY_EVENT_LOG": "kafka",
            "MAINSTAY_KAFKA_BOOTSTRAP": self.bootstrap,
            "MAINSTAY_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "MAINSTAY_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "MAINSTAY_KAFKA_CA_FILE": str(self.ca_file),
            "MAINSTAY_KAFKA_PARTITIONS": str(PARTITIONS),
            "MAINSTAY_KAFKA_USERNAME": user,
            "MAINSTAY_KAFKA_PASSWORD": password or self.passwords[user],
        }

    def client_options(self) -> dict[str, object]:
        # A cold broker on a busy machine takes seconds for its first handshake.
        return {**self.settings(ADMIN).connection(), "request_timeout_ms": 10_000}


@contextmanager
def running_secured_kafka(users: list[str]) -> Iterator[SecuredKafka]:
    """With these users and no ACL yet; raises Missing when the machine cannot run it."""
    java, _ = find_java()
    libraries = fetch_libraries()
    passwords = {user: f"password-of-{user}" for user in [ADMIN, *users]}
    broker, controller = free_port(), free_port()
    with folder_of_this_run("secured-kafka") as folder:
        ca_file, keystore = _certificates(folder)
        settings = folder / "server.properties"
        settings.write_text(_settings(broker, controller, folder / "data", keystore, passwords[ADMIN]))
        credentials = [f"SCRAM-SHA-512=[name={user},password={word}]" for user, word in passwords.items()]
        command = format_storage(java, libraries, settings, credentials)
        process = ServerProcess("secured-kafka", [*command, "kafka.Kafka", str(settings)], folder)
        server = SecuredKafka(f"127.0.0.1:{broker}", process=process, ca_file=ca_file, passwords=passwords)
        try:
            process.start()
            server.wait_until_ready(timeout=SLOWEST_START_SECONDS)
            yield server
        finally:
            server.stop()


def _settings(broker: int, controller: int, data: Path, keystore: Path, admin_password: str) -> str:
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=SECURED://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=SECURED://127.0.0.1:{broker}
listener.security.protocol.map=SECURED:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SECURED
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.secured.scram-sha-512.sasl.jaas.config={scram} username="{ADMIN}" password="{admin_password}";
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={keystore.with_name("ca.pem")}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{ADMIN};User:ANONYMOUS
log.dirs={data}
{LOWERED_BOUNDS}"""


def _certificates(folder: Path) -> tuple[Path, Path]:
    """Of an authority of this run's own: its certificate, and a broker's key and chain for 127.0.0.1."""
    ca_key, broker_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority for tests")])
    ca = (
        _certificate(authority, authority, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    broker = (
        _certificate(name, authority, broker_key.public_key())
        .add_extension(here, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = broker_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    ca_file, keystore = folder / "ca.pem", folder / "broker.pem"
    ca_file.write_bytes(ca.public_bytes(pem))
    keystore.write_bytes(secret + broker.public_bytes(pem) + ca.public_bytes(pem))
    return ca_file, keystore


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - ONE_DAY)
        .not_valid_after(now + ONE_DAY)
    )
