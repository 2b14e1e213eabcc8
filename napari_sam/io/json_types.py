"""Types of JSON documents, whose content is only known at run time."""

from __future__ import annotations

from typing import Any

JsonObject = dict[str, Any]
