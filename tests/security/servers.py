"""A redis-server (Debian's, version 7) with the users of `deploy/redis/users.acl`, over TLS only."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
import redis
import trustme

from tests.processes import answers, eventually
from tests.streams import free_port

ACL = Path(__file__).parents[2] / "deploy" / "redis" / "users.acl"
USERS = ("producer", "worker", "subscriber")


class Guarded(NamedTuple):
    """A server: user -> URL with the password, and a client with all rights."""

    urls: dict[str, str]
    admin: redis.Redis
    port: int
    ca: Path


def password(user: str) -> str:
    return f"SECRET/{user}@?#"  # with characters that a URL must escape


def redis_7() -> str:
    """The program; skips the test if the one on PATH is another version."""
    server = shutil.which("redis-server")
    if server is None or "v=7" not in subprocess.run([server, "--version"], capture_output=True, text=True).stdout:
        pytest.skip("needs a redis-server 7 on PATH, built with TLS (Debian's is)")
    return server


@contextmanager
def guarded_redis() -> Iterator[Guarded]:
    """The server, over TLS and with passwords only. Its certificate is signed by its own authority."""
    server = redis_7()
    with tempfile.TemporaryDirectory(prefix="lp-") as name:
        folder = Path(name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        (folder / "users.acl").write_text(rules())
        port = free_port()
        settings = f"--port 0 --tls-port {port} --bind 127.0.0.1 --tls-auth-clients no --save --dir {folder}".split()
        settings += ["--tls-cert-file", f"{folder}/cert.pem", "--tls-key-file", f"{folder}/key.pem"]
        settings += ["--tls-ca-cert-file", f"{folder}/ca.pem", "--aclfile", f"{folder}/users.acl"]
        settings += ["--unixsocket", f"{folder}/redis.sock", "--appendonly", "yes", "--enable-debug-command", "local"]
        with subprocess.Popen([server, *settings], stdout=subprocess.DEVNULL) as running:
            try:
                with redis.Redis(unix_socket_path=f"{folder}/redis.sock", username="admin", password="admin") as admin:
                    eventually(lambda: answers(admin))
                    urls = {user: url(user, port, folder / "ca.pem") for user in USERS}
                    yield Guarded(urls, admin, port, folder / "ca.pem")
            finally:
                running.terminate()


def url(user: str, port: int, ca: Path) -> str:
    return f"rediss://{user}:{quote(password(user), safe='')}@localhost:{port}?ssl_ca_certs={ca}"


def rules() -> str:
    """The file as a server reads it: without comments, with passwords, and with an `admin` for the tests."""
    lines = [line for line in ACL.read_text().splitlines() if line.startswith("user ")]
    with_passwords = [re.sub(r"^user (\w+) off resetpass", _on, line) for line in lines]
    return "\n".join([*with_passwords, "user admin on >admin ~* &* +@all", ""])


def _on(rule: "re.Match[str]") -> str:
    return rule[0] if rule[1] == "default" else f"user {rule[1]} on >{password(rule[1])}"
