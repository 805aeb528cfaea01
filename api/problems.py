"""Errors as people and scripts get them: RFC 9457 problem documents. Pure.

Problem
`-- raised by whoever answers a request; becomes the answer
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """What is wrong with a request, or why it cannot be answered, and what to do about it."""

    def __init__(self, status: int, detail: str, hint: str = "", **more: Any) -> None:  # noqa: ANN401 - JSON values
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.hint = hint
        self.more = more


def document(problem: Problem, instance: str) -> dict[str, Any]:
    """The problem document of an answer to the request for `instance`."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": instance,
    }
    if problem.hint:
        body["hint"] = problem.hint
    return body | problem.more
