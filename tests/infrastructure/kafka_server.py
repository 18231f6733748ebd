"""A real Kafka for tests: a KRaft node or a pair of them in temporary folders, or what MAINSTAY_TEST_KAFKA names."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tests.infrastructure.missing import Missing
from tests.infrastructure.process import Server, ServerProcess, accepts_connections, folder_of_this_run, free_port
from tests.infrastructure.waiting import run_apart

BOOTSTRAP_VARIABLE = "MAINSTAY_TEST_KAFKA"
POM = Path(__file__).parent / "kafka" / "pom.xml"
LOG_SETTINGS = Path(__file__).parent / "kafka" / "log4j2.properties"
LIBRARIES = Path(__file__).parents[2] / ".infrastructure" / "kafka-libs"
OLDEST_JAVA = 17
HOW_TO_GET_IT = f"apt-get install default-jdk-headless maven, or set {BOOTSTRAP_VARIABLE} to bootstrap servers"
CLUSTER_ID = "bWFpbnN0YXktdGVzdHMtMQ"
LOWERED_BOUNDS = """\
auto.create.topics.enable=false
num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.segment.bytes=16777216
log.index.size.max.bytes=1048576
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


@dataclass
class KafkaServer(Server):
    """The bootstrap servers of a cluster, such as 127.0.0.1:9092."""

    bootstrap: str

    def answers(self) -> bool:
        port = int(self.bootstrap.rpartition(":")[2])
        if self.process is not None and not accepts_connections(port):
            return False
        try:
            return run_apart(_has_brokers(self.client_options()))
        except (KafkaError, OSError, TimeoutError):
            return False

    def client_options(self) -> dict[str, object]:
        """How one who may do everything connects."""
        return {"bootstrap_servers": self.bootstrap}


@contextmanager
def running_kafka() -> Iterator[KafkaServer]:
    """A broker that answers metadata requests; raises Missing when the machine cannot run one."""
    if bootstrap := os.environ.get(BOOTSTRAP_VARIABLE):
        server = KafkaServer(bootstrap)
        server.wait_until_ready()
        yield server
        return
    java, _ = find_java()
    libraries = fetch_libraries()
    with folder_of_this_run("kafka") as folder:
        server = _prepare(java, libraries, folder, free_port())
        try:
            server.start()
            yield server
        finally:
            server.stop()


@dataclass
class KafkaPair:
    """Two brokers that share the partitions, without replicas: what one leads has no leader while it is away.

    `first` is the controller as well.
    """

    first: KafkaServer
    second: KafkaServer

    @property
    def bootstrap(self) -> str:
        return f"{self.first.bootstrap},{self.second.bootstrap}"

    def freeze(self) -> None:
        self.first.freeze()
        self.second.freeze()

    def thaw(self) -> None:
        self.first.thaw()
        self.second.thaw()

    def kill(self) -> None:
        self.first.kill()
        self.second.kill()

    def restart(self) -> None:
        """As after a power cut."""
        self.kill()
        self.start()

    def start(self) -> None:
        """Both at once, as far as they do not run, until both answer."""
        for server in (self.first, self.second):
            if server.process is not None and not server.process.is_running:
                server.process.start()
        for server in (self.first, self.second):
            server.wait_until_ready()


@contextmanager
def running_kafka_pair() -> Iterator[KafkaPair]:
    """Always servers of its own; raises Missing when the machine cannot run them."""
    java, _ = find_java()
    libraries = fetch_libraries()
    controller = free_port()
    with folder_of_this_run("kafka-1") as folder, folder_of_this_run("kafka-2") as other:
        first = _prepare(java, libraries, folder, controller)
        second = _prepare(java, libraries, other, controller, node=2)
        try:
            pair = KafkaPair(first, second)
            pair.start()
            yield pair
        finally:
            second.stop()
            first.stop()


def find_java() -> tuple[str, str]:
    """The path and the version of a Java that runs Kafka; raises Missing when there is none or it is too old."""
    in_home = Path(os.environ.get("JAVA_HOME", "/nonexistent")) / "bin" / "java"
    java = str(in_home) if in_home.exists() else shutil.which("java")
    if java is None:
        raise Missing("no java", how_to_get_it=HOW_TO_GET_IT)
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=20).stderr
    version = re.search(r'version "((\d+)[^"]*)"', answer)
    if version is None or int(version[2]) < OLDEST_JAVA:
        raise Missing(f"{java} is not Java {OLDEST_JAVA} or later", how_to_get_it=HOW_TO_GET_IT)
    return java, version[1]


def fetch_libraries() -> Path:
    """The folder with the broker's jars, fetched by Maven when they are not here or the pom has changed."""
    LIBRARIES.parent.mkdir(exist_ok=True)
    with (LIBRARIES.parent / "kafka-libs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _libraries_are_here():
            _fetch_with_maven()
    return LIBRARIES


def describe() -> str:
    if bootstrap := os.environ.get(BOOTSTRAP_VARIABLE):
        return f"at {bootstrap}, named by {BOOTSTRAP_VARIABLE}"
    _, java_version = find_java()
    if not _libraries_are_here():
        _find_maven()
    return f"{version()} on Java {java_version}"


def version() -> str:
    """The version of Kafka that the pom names."""
    found = re.search(r"<kafka.version>([^<]+)", POM.read_text())
    return found[1] if found else "unknown"


def _prepare(java: str, libraries: Path, folder: Path, controller: int, *, node: int = 1) -> KafkaServer:
    """Node 1 is the controller, at that port; the others are brokers only."""
    broker = free_port()
    settings = folder / "server.properties"
    settings.write_text(_settings(node, broker, controller, folder / "data"))
    command = format_storage(java, libraries, settings)
    process = ServerProcess("kafka", [*command, "kafka.Kafka", str(settings)], folder)
    return KafkaServer(f"127.0.0.1:{broker}", process=process)


def format_storage(java: str, libraries: Path, settings: Path, credentials: Sequence[str] = ()) -> list[str]:
    """Make the folder that the settings name ready, with these SCRAM users; the start of Kafka's commands."""
    command = [java, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command += ["-cp", f"{libraries}/*", f"-Dlog4j2.configurationFile={LOG_SETTINGS.as_uri()}"]
    users = [word for credential in credentials for word in ("--add-scram", credential)]
    subprocess.run(
        [*command, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings), *users],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=120,
    )
    return command


def _settings(node: int, broker: int, controller: int, data: Path) -> str:
    roles, listens = ("broker,controller", f",CONTROLLER://127.0.0.1:{controller}") if node == 1 else ("broker", "")
    return f"""\
process.roles={roles}
node.id={node}
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{broker}{listens}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
{LOWERED_BOUNDS}"""


def _libraries_are_here() -> bool:
    """The pom lies beside the jars that it named: a changed pom means other jars."""
    pom = LIBRARIES / POM.name
    return pom.exists() and pom.read_bytes() == POM.read_bytes()


def _fetch_with_maven() -> None:
    maven = _find_maven()
    fetched = Path(tempfile.mkdtemp(dir=LIBRARIES.parent, prefix="kafka-libs-"))
    command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={fetched}"]
    try:
        outcome = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=600
        )
        if outcome.returncode != 0:
            raise Missing(f"Maven could not fetch Kafka: {outcome.stdout.strip()[-500:]}", how_to_get_it=HOW_TO_GET_IT)
        shutil.copy(POM, fetched)
        shutil.rmtree(LIBRARIES, ignore_errors=True)
        fetched.rename(LIBRARIES)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)


def _find_maven() -> str:
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing("no Maven to fetch Kafka with", how_to_get_it=HOW_TO_GET_IT)
    return maven


async def _has_brokers(options: dict[str, object]) -> bool:
    admin = AIOKafkaAdminClient(**{"request_timeout_ms": 2_000, **options})
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
        return bool(cluster["brokers"])
    finally:
        await admin.close()
