"""Code run as a user without root's rights: what root's tests cannot see is what such a user may not read.

Root's Python may stand where nobody else may go, so the code imports all it needs and then calls
`become_a_plain_user()`. Whoever runs the tests without being root stays who he is.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

AS_ROOT = os.geteuid() == 0
PLAIN_USER = "nobody" if AS_ROOT else pwd.getpwuid(os.geteuid()).pw_name

_BECOME = """
def become_a_plain_user():
    import os, pwd
    user = pwd.getpwnam({user!r})
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
"""


def plain_user(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the code in a process of its own."""
    command = [sys.executable, "-c", _BECOME.format(user=PLAIN_USER) + code, *map(str, arguments)]
    # where coverage keeps its figures that user may not write, and it would say so in a traceback
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")} | {"COLUMNS": "200"}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=env)


def as_plain_user(code: str, *arguments: str | Path) -> str:
    """What it prints; it must end well."""
    done = plain_user(code, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def give(path: Path) -> None:
    """Make it the plain user's."""
    if AS_ROOT:
        user = pwd.getpwnam(PLAIN_USER)
        os.chown(path, user.pw_uid, user.pw_gid)


def open_to_all(folder: Path) -> Path:
    """Let everybody pass through a folder of a test, and through what pytest made above it."""
    for each in (folder, *folder.parents):
        if each.owner() == pwd.getpwuid(os.geteuid()).pw_name and each.stat().st_mode & 0o777 == 0o700:
            each.chmod(0o711)
    return folder
