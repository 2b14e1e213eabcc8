"""An implementation in a process of its own, asked by lines of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

HERE = Path(__file__).parent
PEERS_PYTHON = HERE.parents[1] / ".peers-venv" / "bin" / "python"
KEPT_MASKS = {"segment-anything": "all", "micro-sam": "best"}  # masks that each peer returns for a prompt
PEERS = tuple(KEPT_MASKS)


class WorkerProcess:
    """A script that runs one implementation and answers requests until its input is closed.

    Parameters
    ----------
    script : str
        File in this folder.
    name : str
        Implementation. Peers run in their own environment, ours in the current one.
    checkpoint : Path
        Weights to load.
    folder : Path
        Where the worker leaves its masks.

    Attributes
    ----------
    about : dict
        The worker's first answer: versions, or ``error`` if it cannot be imported.
    """

    def __init__(self, script: str, name: str, checkpoint: Path, folder: Path) -> None:
        self.name = name
        self.masks_file = folder / f"{name.replace(' ', '-')}.npz"
        root = str(HERE.parents[1])
        peer = name in PEERS
        paths = [str(HERE / "stubs"), root] if peer else [root, os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [str(PEERS_PYTHON) if peer else sys.executable, str(HERE / script), name, str(checkpoint)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        self.about = self._receive()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process:  # closes its pipes
            self._process.stdin.close()  # type: ignore[union-attr]
            self._process.wait(60)

    def request(self, what: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for the answer."""
        self._process.stdin.write(json.dumps(what) + "\n")  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            with self._process:
                code = self._process.wait()
            raise RuntimeError(f"{self.name} ended with exit code {code}; its message is above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def require_environment() -> None:
    """Stop with the remedy if the peers' environment is missing."""
    if not PEERS_PYTHON.exists():
        raise SystemExit(f"{PEERS_PYTHON} is missing; run: bash {HERE / 'setup.sh'}")
