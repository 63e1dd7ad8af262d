"""SeaweedFS as the S3 of one machine: started on demand, found again by the next run, reached by this machine only.

Below the home directory:

    s3/                             its data
    services/seaweedfs.{lock,pid,log}   the daemon, see ``steps.clients.local.daemon``
    services/seaweedfs.json         the ports it was given; kept from one start to the next while they are free
    services/seaweedfs-keys.json    who may do what, mode 0600: the only place that holds the secret
"""

import contextlib
import fcntl
import json
import os
import secrets
import socket
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from steps.clients.local import daemon
from steps.clients.local.daemon import Daemon
from steps.errors import BadInput, Transient

HOST = "127.0.0.1"
GRPC_OFFSET = 10_000
"""Each service also listens on its port plus this; its admin worker insists on the offset, so we keep to it."""
READY_SECONDS = 30.0
MEMORY_LIMIT = "512MiB"
"""Asked of Go's garbage collector; without it 2 GiB of traffic leave it at 1.4 GiB."""


@dataclass(frozen=True)
class Access:
    """What a client needs to know."""

    endpoint: str
    access_key: str
    secret_key: str


@dataclass(frozen=True)
class Identity:
    """``actions`` are SeaweedFS's words: Admin, Read, Write, List."""

    name: str
    access_key: str
    secret_key: str
    actions: tuple[str, ...]


@dataclass(frozen=True)
class Ports:
    master: int
    volume: int
    filer: int
    s3: int
    admin: int


def start(home: Path, bucket: str) -> Access:
    """Have it run on the data in this home, and the bucket exist. Raises Transient, Failed, BadInput."""
    services = home.absolute() / "services"
    services.mkdir(parents=True, exist_ok=True)
    (home / "s3").mkdir(exist_ok=True)
    with _alone(services):
        keys = identities(services) or give_keys(services, Identity("vllm-promote", *_key_pair(), ("Admin",)))
        try:
            return _serve(home.absolute(), keys[0], bucket)
        except Transient:  # it hangs, or a port was taken between our look and its start
            daemon.stop(_daemon(services), grace_seconds=0)
            return _serve(home.absolute(), keys[0], bucket)


def stop(home: Path) -> None:
    """End it at once, by SIGKILL: its data bear that, and after SIGTERM it takes up to half a minute."""
    services = home.absolute() / "services"
    daemon.stop(_daemon(services), grace_seconds=0)
    _remove_sockets(_read_ports(services))


def give_keys(services: Path, *who: Identity) -> tuple[Identity, ...]:
    """Write who may do what; SeaweedFS reads it when it starts. The first one is ours."""
    granted = [
        {"name": i.name, "credentials": [{"accessKey": i.access_key, "secretKey": i.secret_key}], "actions": i.actions}
        for i in who
    ]
    _write(services / "seaweedfs-keys.json", {"identities": granted})
    return who


def identities(services: Path) -> tuple[Identity, ...]:
    """Those of an earlier start; none before the first."""
    try:
        value = json.loads((services / "seaweedfs-keys.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    return tuple(
        Identity(
            name=i["name"],
            access_key=i["credentials"][0]["accessKey"],
            secret_key=i["credentials"][0]["secretKey"],
            actions=tuple(i["actions"]),
        )
        for i in value["identities"]
    )


def _serve(home: Path, key: Identity, bucket: str) -> Access:
    services = home / "services"
    ports = _read_ports(services)
    if ports is None or not daemon.running(_daemon(services)):
        ports = _new_ports(services, ports)
        daemon.start(_daemon(services), _command(home, ports), _environ(), cwd=services)
    access = Access(endpoint=f"http://{HOST}:{ports.s3}", access_key=key.access_key, secret_key=key.secret_key)
    _make_bucket(access, bucket, _daemon(services))
    return access


def _command(home: Path, ports: Ports) -> list[str]:
    services = home / "services"
    options = {
        "dir": home / "s3",
        "ip": HOST,
        "ip.bind": HOST,
        **{f"{name}.port": port for name, port in asdict(ports).items()},
        "s3.config": services / "seaweedfs-keys.json",
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


def _new_ports(services: Path, before: Ports | None) -> Ports:
    """Those of the start before, so that its clients find it again, unless one is taken by now."""
    _remove_sockets(before)
    (services.parent / "s3" / "mini.options").unlink(missing_ok=True)  # it would heed the options of that start
    ports = before if before and all(map(_free, asdict(before).values())) else _choose()
    _write(services / "seaweedfs.json", asdict(ports))
    return ports


def _read_ports(services: Path) -> Ports | None:
    try:
        return Ports(**json.loads((services / "seaweedfs.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _choose() -> Ports:
    chosen: list[int] = []
    while len(chosen) < len(Ports.__dataclass_fields__):
        port = 20_000 + secrets.randbelow(GRPC_OFFSET)  # below the range that the kernel gives to clients
        if port not in chosen and _free(port):
            chosen.append(port)
    return Ports(*chosen)


def _free(port: int) -> bool:
    return _bindable(port) and _bindable(port + GRPC_OFFSET)


def _bindable(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((HOST, port))
        except OSError:
            return False
        return True


def _remove_sockets(ports: Ports | None) -> None:
    """SeaweedFS makes these in /tmp whatever it is told, and leaves them there when it is killed."""
    for name, port in asdict(ports).items() if ports else ():
        Path(f"/tmp/seaweedfs-{name}-grpc-{port + GRPC_OFFSET}.sock").unlink(missing_ok=True)  # noqa: S108  # its choice


def _make_bucket(access: Access, bucket: str, seaweed: Daemon) -> None:
    """Create it if need be; the first request that is answered also proves that the store is ready."""
    from botocore.exceptions import BotoCoreError, ClientError

    s3 = client(access)
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            s3.create_bucket(Bucket=bucket)
        except (s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
            return
        except (BotoCoreError, ClientError) as err:
            _raise_if_hopeless(err, seaweed, deadline)
            time.sleep(0.05)
        else:
            return


def _raise_if_hopeless(err: Exception, seaweed: Daemon, deadline: float) -> None:
    code = getattr(err, "response", {}).get("Error", {}).get("Code")
    if code == "InvalidBucketName":
        raise BadInput("SeaweedFS does not take this bucket name; set VLLM_PROMOTE_BUCKET to another one") from err
    if daemon.running(seaweed) is None or time.monotonic() > deadline:
        raise Transient(f"SeaweedFS does not answer; see {seaweed.file('log')}") from err


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


def _key_pair() -> tuple[str, str]:
    return secrets.token_hex(10).upper(), secrets.token_urlsafe(30)


def _daemon(services: Path) -> Daemon:
    return Daemon(directory=services, name="seaweedfs")


def _write(path: Path, value: Any) -> None:
    """Whole or not at all, and for our eyes only."""
    aside = path.with_suffix(".aside")
    aside.unlink(missing_ok=True)
    with open(aside, "x", encoding="utf-8", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
        json.dump(value, f)
    aside.rename(path)


@contextlib.contextmanager
def _alone(services: Path) -> Iterator[None]:
    """Two runs that start it at the same moment must agree on the ports."""
    with (services / "seaweedfs.start").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
