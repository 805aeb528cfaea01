"""Answers of the HTTP interface that need no model: already made of JSON's types. Pure."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response


class Json(Response):
    """An answer already made of JSON's types."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - any JSON value
        """The bytes of the answer."""
        return msgspec.json.encode(content)
