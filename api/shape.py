"""What every shape of the HTTP interface has in common. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """Answers may gain fields later, never lose them."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
