"""Make passwords, and write the files in which Redis and its users find them: `python3 deploy/passwords.py`.

It needs Python 3.10 or newer and nothing else. It writes deploy/secrets/, which git ignores and only you can enter:

- users.acl for Redis: the rules of deploy/redis/users.acl and deploy/redis/scaler.acl with hashed passwords;
- worker.env and producer.env: the REDIS_URL of each;
- grafana.env: the passwords of Grafana's admin, and of the user `subscriber`, as which Grafana reads streams;
- scaler.env: user and password for KEDA;
- serve.env: the token of the page.

For compose it also makes deploy/lectures/, the folder of recordings and reports, and deploy/archive/, and writes their
owner and group to deploy/.env: the containers that use them run as this user, or with this group. Other lines of .env
stay.

It writes nothing if the folder of secrets exists; delete it to start again.
"""

import hashlib
import os
import secrets
import sys
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
RULES = (HERE / "redis" / "users.acl", HERE / "redis" / "scaler.acl")
SECRETS = HERE / "secrets"
LECTURES = HERE / "lectures"
ARCHIVE = HERE / "archive"
ENV = HERE / ".env"

# The user of the image. It gets the folders if root runs this program.
NOBODY = 10001

# Their URL-safe base64 needs no escape in a URL, an environment file or an ACL.
PASSWORD_BYTES = 24
TOKEN_BYTES = 32


def main() -> None:
    """Write the files. If that fails, print one line and exit with code 2."""
    try:
        rules = [line for file in RULES for line in file.read_text().splitlines()]
        SECRETS.mkdir(mode=0o700)
        _make_folders()
        passwords = {user: secrets.token_urlsafe(PASSWORD_BYTES) for user in users(rules)}
        admin, token = secrets.token_urlsafe(PASSWORD_BYTES), secrets.token_urlsafe(TOKEN_BYTES)
        for name, content in files(rules, passwords, admin, token).items():
            (SECRETS / name).write_text(content)
            (SECRETS / name).chmod(0o644)  # others cannot enter the folder; Redis' container user can read
    except OSError as failure:
        sys.stderr.write(f"passwords: {failure}; delete {SECRETS} to start again\n")
        sys.exit(2)
    sys.stdout.write(f"wrote {SECRETS}\n")


def _make_folders() -> None:
    """Make the folder of recordings and the archive, and name their owner and group in .env."""
    for folder in (LECTURES, ARCHIVE):
        folder.mkdir(exist_ok=True)
        if os.getuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
    ARCHIVE.chmod(0o2770)  # the page, another user with this group, writes there too, and nobody else reads it
    owner = LECTURES.stat()
    ours = [f"LECTUREPULSE_USER={owner.st_uid}:{owner.st_gid}", f"LECTUREPULSE_GROUP={ARCHIVE.stat().st_gid}"]
    before = ENV.read_text().splitlines() if ENV.exists() else []
    yours = [line for line in before if not line.startswith(("LECTUREPULSE_USER=", "LECTUREPULSE_GROUP="))]
    ENV.write_text("".join(f"{line}\n" for line in [*ours, *yours]))  # yours: another archive, and its keys


def users(rules: Iterable[str]) -> list[str]:
    """The users that get a password: all except `default`, as which no program logs in."""
    return [line.split()[1] for line in rules if line.startswith("user ") and line.split()[1] != "default"]


def files(rules: Iterable[str], passwords: dict[str, str], admin: str, token: str) -> dict[str, str]:
    """File name -> content. `passwords`: Redis user -> password. `admin` is Grafana's password, `token` the page's."""
    acl = "".join(f"{_with_password(line, passwords)}\n" for line in rules if line.startswith("user "))
    url = {user: f"REDIS_URL=redis://{user}:{password}@redis:6379/0\n" for user, password in passwords.items()}
    return {
        "users.acl": acl,  # Redis allows no comments in this file
        "worker.env": url["worker"],
        "producer.env": url["producer"],
        "grafana.env": f"GF_SECURITY_ADMIN_PASSWORD={admin}\nREDIS_SUBSCRIBER_PASSWORD={passwords['subscriber']}\n",
        "serve.env": f"LECTUREPULSE_SERVE_TOKEN={token}\n",
        "scaler.env": f"username=scaler\npassword={passwords['scaler']}\n",
    }


def _with_password(line: str, passwords: dict[str, str]) -> str:
    """The rule with its user switched on, and with this password as the only one."""
    _, user, *rules = line.split()
    if user not in passwords:
        return line
    kept = [rule for rule in rules if rule not in ("on", "off", "nopass", "resetpass") and rule[0] not in "><#!"]
    digest = hashlib.sha256(passwords[user].encode()).hexdigest()
    return " ".join(["user", user, "on", f"#{digest}", *kept])


if __name__ == "__main__":
    main()
