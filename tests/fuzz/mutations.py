"""Damage files at random: bytes, and the values of JSON documents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from pathlib import Path

_NUMBERS = [0, -1, 1, 2**31, 2**63, 10**30, -(10**30), 0.5, 1e308, float("inf"), float("nan")]
_VALUES: list[Any] = [None, True, "", "x", "../../x", "\x00", [], {}, [[[[]]]], {"a": {"b": {}}}, *_NUMBERS]


def damage_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, delete, insert or repeat some bytes, or cut the end."""
    content = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8, 40])):
        if not content:
            break
        at, kind = rng.randrange(len(content)), rng.randrange(6)
        if kind == 0:
            content[at] = rng.randrange(256)
        elif kind == 1:
            del content[at : at + rng.randrange(1, 40)]
        elif kind == 2:
            content[at:at] = rng.randbytes(rng.randrange(1, 40))
        elif kind == 3:
            content[at : at + 4] = rng.choice([b"\xff" * 4, b"\x00" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"])
        elif kind == 4:
            content[at:at] = content[: rng.randrange(1, 200)]
        else:
            del content[at:]
    return bytes(content)


def damage_json(text: str, rng: random.Random) -> str:
    """Replace, delete or duplicate some values of a JSON document."""
    content = json.loads(text)
    for _ in range(rng.choice([1, 1, 2, 5])):
        places = list(_places(content))
        if not places:
            break
        parent, key = rng.choice(places)
        kind = rng.randrange(4)
        if kind == 0:
            del parent[key]
        elif kind == 1 and isinstance(parent, dict):
            parent[rng.choice(["x", "path", str(key) + "2"])] = parent.pop(key)
        elif kind == 2:
            parent[key] = [parent[key]] * rng.choice([1, 2, 50])
        else:
            parent[key] = rng.choice(_VALUES)
    return json.dumps(content)


def _places(content: Any) -> Any:
    """Yield every value of a document as (container, key)."""
    if isinstance(content, dict | list):
        for key, value in list(content.items() if isinstance(content, dict) else enumerate(content)):
            yield content, key
            yield from _places(value)


def damage_file(path: Path, rng: random.Random) -> None:
    """Damage a file in place."""
    data = path.read_bytes()
    try:
        text = data.decode()
        json.loads(text)
    except (UnicodeDecodeError, ValueError):
        path.write_bytes(damage_bytes(data, rng))
        return
    path.write_text(damage_json(text, rng)) if rng.random() < 0.8 else path.write_bytes(damage_bytes(data, rng))
