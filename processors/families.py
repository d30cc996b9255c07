"""All families that are looked for, as data: `SECRETS` everywhere, `PERSONAL` where its `Reach` says."""

from __future__ import annotations

from typing import Final

from processors.family import Family, Reach
from processors.personal_families import PERSONAL
from processors.secret_families import SECRET_NAMES
from processors.secret_families import SECRETS as _SECRETS
from processors.service_families import SERVICES

SECRETS: Final = _SECRETS + SERVICES

__all__ = ["PERSONAL", "SECRETS", "SECRET_NAMES", "Family", "Reach"]
