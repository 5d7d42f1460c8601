"""LiteLLM's environment: made from `bench/litellm.lock`, which belongs to this bench alone, never to the product.

How the lock was made (with uv; `certifi` is overridden because LiteLLM 1.109.1 asks for a release that the registry
does not have; it plays no part over plain HTTP, and is why pip is told not to look at dependencies):

    uv pip compile <(printf 'litellm==1.109.1\\nuvloop\\n') --override <(echo certifi) --universal --python-version 3.11 \\
        --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade -q -o bench/litellm.lock
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sys
from pathlib import Path

LOCK = Path(__file__).parent / "litellm.lock"
HOME = Path(__file__).parent.parent / ".venv-litellm"
MOST_SECONDS = 600.0  # to fetch about 100 MB


class Skipped(Exception):
    """This bench cannot run here; the message says why."""


async def environment() -> str:
    """The Python of LiteLLM's environment, made anew when its lock changed.

    Raises:
        Skipped: it cannot be made here (no network, no room, no venv module).
    """
    python, stamp = HOME / "bin" / "python", HOME / ".made"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted and python.exists():
        return str(python)
    shutil.rmtree(HOME, ignore_errors=True)
    await _do(sys.executable, "-m", "venv", str(HOME))
    options = ("-q", "--disable-pip-version-check", "--require-hashes", "--no-deps", "--only-binary", ":all:")
    await _do(str(python), "-m", "pip", "install", *options, "-r", str(LOCK))
    stamp.write_text(wanted, encoding="ascii")
    return str(python)


async def _do(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(MOST_SECONDS):
            _, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise Skipped(f"LiteLLM's environment was not ready after {MOST_SECONDS:.0f} s") from None
    if process.returncode:
        lines = [line for line in errors.decode(errors="replace").splitlines() if line.strip()]
        said = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "no word why")
        raise Skipped(f"LiteLLM's environment cannot be made ({' '.join(command[1:4])}: {said[:200]})")
