"""SeaweedFS as the S3 of one machine: started on demand, found again by the next run, reached by this machine only.

Below the home directory:

    s3/                             its data
    services/seaweedfs.{lock,pid,log}   the daemon, see ``steps.clients.local.daemon``
    services/seaweedfs.json         the ports it was given; kept from one start to the next while they are free
    services/seaweedfs-keys.json    who may do what, mode 0600: the only place that holds the secret
"""

import contextlib
import fcntl
import http.client
import json
import os
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from steps.clients.local import daemon
from steps.clients.local.addresses import HOST
from steps.clients.local.daemon import Daemon
from steps.errors import BadInput, Transient
from workflows.local.services import store_keys as keys
from workflows.local.services import store_ports
from workflows.local.services.store_keys import Grantee
from workflows.local.services.store_ports import Ports

READY_SECONDS = 30.0
MEMORY_LIMIT = "512MiB"
"""Asked of Go's garbage collector; without it 2 GiB of traffic leave it at 1.4 GiB."""


@dataclass(frozen=True)
class Access:
    """What a client needs to know."""

    endpoint: str
    access_key: str
    secret_key: str


def start(home: Path, bucket: str) -> Access:
    """Have it run on the data in this home, and the bucket exist. Raises Transient, Failed, BadInput."""
    services = home.absolute() / "services"
    services.mkdir(parents=True, exist_ok=True)
    (home / "s3").mkdir(exist_ok=True)
    with _alone(services):
        owner = keys.owner(services)
        try:
            return _serve(home.absolute(), owner, bucket)
        except Transient:  # it hangs, or a port was taken between our look and its start
            daemon.stop(_daemon(services), grace_seconds=0)
            return _serve(home.absolute(), owner, bucket)


def stop(home: Path) -> None:
    """End it at once, by SIGKILL: its data bear that, and after SIGTERM it takes up to half a minute."""
    services = home.absolute() / "services"
    daemon.stop(_daemon(services), grace_seconds=0)
    store_ports.remove_sockets(store_ports.read(services))


def _serve(home: Path, key: Grantee, bucket: str) -> Access:
    services = home / "services"
    ports = store_ports.read(services)
    if ports is None or not daemon.running(_daemon(services)):
        ports = store_ports.renew(services)
        (home / "s3" / "mini.options").unlink(missing_ok=True)  # it would heed the options of the last start
        daemon.start(_daemon(services), _command(home, ports), _environ(), cwd=services)
    access = Access(endpoint=f"http://{HOST}:{ports.s3}", access_key=key.access_key, secret_key=key.secret_key)
    _wait(lambda: _knows_its_data(ports, home / "s3"), _daemon(services))
    _wait(lambda: _has_bucket(access, bucket), _daemon(services))
    return access


def _command(home: Path, ports: Ports) -> list[str]:
    services = home / "services"
    options = {
        "dir": home / "s3",
        "ip": HOST,
        "ip.bind": HOST,
        **{f"{name}.port": port for name, port in asdict(ports).items()},
        "s3.config": keys.file(services),
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        # Relative to its working directory, because the path of a Unix socket holds 107 bytes at most.
        "s3.localSocket": "seaweedfs-s3.sock",
        "filer.localSocket": "seaweedfs-filer.sock",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 1024,
        "volume.max": 10_000,  # a bucket takes at least one; by default they end with the free disk space
        "admin.ui": "false",
        "webdav": "false",
    }
    weed = Path(sysconfig.get_path("scripts")) / "weed"
    return [str(weed), "-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in options.items())]


def _environ() -> dict[str, str]:
    """Only what it needs: none of the secrets of whoever starts it, nor their AWS variables."""
    return {"PATH": os.defpath, "HOME": "/nonexistent", "TMPDIR": ".", "GOMEMLIMIT": MEMORY_LIMIT}


def _wait(ready: Callable[[], bool], seaweed: Daemon) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not ready():
        if daemon.running(seaweed) is None or time.monotonic() > deadline:
            raise Transient(f"SeaweedFS does not start; see {seaweed.file('log')}")
        time.sleep(0.02)


def _knows_its_data(ports: Ports, data: Path) -> bool:
    """Its parts find each other one by one; before the volumes are known, a read of what is there fails."""
    connection = http.client.HTTPConnection(HOST, ports.master, timeout=5)
    try:
        connection.request("GET", "/dir/status")
        topology = json.loads(connection.getresponse().read())["Topology"]
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return False
    finally:
        connection.close()
    racks = [rack for center in topology.get("DataCenters") or () for rack in center.get("Racks") or ()]
    known = [node["Volumes"] for rack in racks for node in rack.get("DataNodes") or ()]
    return bool(known) and sum(known) >= len(list(data.glob("*.dat")))


def _has_bucket(access: Access, bucket: str) -> bool:
    """It is created if need be; the answer also proves that the keys are in force."""
    from botocore.exceptions import BotoCoreError, ClientError

    s3 = client(access)
    try:
        s3.create_bucket(Bucket=bucket)
    except (s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
        return True
    except ClientError as err:
        if err.response["Error"]["Code"] == "InvalidBucketName":
            raise BadInput(f"SeaweedFS takes no bucket called {bucket}; set VLLM_PROMOTE_BUCKET") from err
        return False
    except BotoCoreError:
        return False
    return True


def client(access: Access) -> Any:
    """For what is the business of the bucket's owner alone."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=access.endpoint,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        region_name="us-east-1",
        config=Config(
            proxies={},
            s3={"addressing_style": "path"},
            connect_timeout=2,
            read_timeout=10,
            retries={"total_max_attempts": 1},
        ),
    )


def _daemon(services: Path) -> Daemon:
    return Daemon(directory=services, name="seaweedfs")


@contextlib.contextmanager
def _alone(services: Path) -> Iterator[None]:
    """Two runs that start it at the same moment must agree on the ports."""
    with (services / "seaweedfs.start").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
