"""`redact`: secrets go from every string of every signal and level; personal data from metadata and free text.

* Secrets (`processors.families.SECRETS`) are looked for in every text column: attribute keys and values at every level,
  names, schema URLs, status messages, log bodies, trace states, units, and what was derived into `observations`.
  An attribute whose name says it is a secret (``authorization``, ``x-api-key``, ``password``) loses its whole value.
* Personal data (`processors.families.PERSONAL`) is looked for everywhere but in three kinds of attributes: those that
  name people (they follow ``identity``), those that name payers, and content, which has a policy of its own
  (`processors.content`). In technical attributes (addresses, ids, versions) only e-mail addresses count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import ClassVar, Final

import polars as pl

from processors import identity_names as names
from processors.batch import VALUE_TYPE, Batch, Signal
from processors.content_names import named
from processors.families import PERSONAL, SECRET_NAMES, SECRETS, Reach
from processors.pseudonym import Pseudonym
from processors.recognise import CONTENT, TEXTUAL, bodies, genai_kinds, is_content_name
from processors.scrub import Scrubber, scrubbed_bytes
from processors.vocabulary import Vocabulary

#: The text columns of every frame but `observations`; a frame has some of them, by signal.
TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "resources": ("schema_url",),
    "scopes": ("name", "version", "schema_url"),
    "records": ("trace_state", "name", "status_message", "severity_text", "event_name", "body", "description", "unit"),
    "events": ("name",),
    "links": ("trace_state",),
    "attributes": ("key", "value"),
}
_SECRET, _PEOPLE, _PAYERS, _MACHINES = "secret", "people", "payers", "machines"
_WITHHELD: Final = "[REDACTED:credential]"
_FREE_COLUMNS: Final = ("status_message", "body", "tags")


class Identity(StrEnum):
    """What becomes of attributes and columns that name people."""

    KEEP = "keep"
    HASH = "hash"


class RedactProcessor:
    """Takes secrets and personal data out of every batch.

    Args:
        identity: what becomes of attributes and columns that name people.
        key: the installation's secret for `Identity.HASH`.

    Raises:
        ValueError: `Identity.HASH` without a key of at least 16 bytes.
    """

    reads: ClassVar[frozenset[str]] = frozenset(
        {"attributes.*", "observations.*", "records.record", "records.scope", "records.body_type", "scopes.scope"}
        | {f"{frame}.{column}" for frame, columns in TEXTS.items() for column in columns}
    )
    writes: ClassVar[frozenset[str]] = frozenset(
        {"attributes.type", "observations.*"}
        | {f"{frame}.{column}" for frame, columns in TEXTS.items() for column in columns}
    )

    def __init__(self, identity: Identity = Identity.KEEP, key: bytes = b"") -> None:
        self._pseudonym = Pseudonym(key) if identity is Identity.HASH else None
        self._secrets = Scrubber(SECRETS)
        self._personal = Scrubber(PERSONAL)
        self._metadata = Scrubber([family for family in PERSONAL if family.reach is Reach.METADATA])
        self._genai = genai_kinds()
        self._kinds = Vocabulary(
            {
                _SECRET: named("name", SECRET_NAMES),
                _PEOPLE: named("name", names.PEOPLE),
                _PAYERS: named("name", names.PAYERS),
                CONTENT: is_content_name(),
                _MACHINES: named("name", names.MACHINES),
            }
        )

    def __call__(self, batch: Batch) -> Batch:
        """The batch without secrets and personal data."""
        kinds = self._kinds(batch.attributes["key"])
        batch = self._without_secrets(batch, kinds[_SECRET])
        batch = self._without_personal(batch, kinds)
        return self._with_pseudonyms(batch, kinds[_PEOPLE]) if self._pseudonym else batch

    def _without_secrets(self, batch: Batch, secret_names: Sequence[str]) -> Batch:
        if live := self._secrets.found(_texts(batch)):
            batch = _changed(batch, lambda texts: self._secrets(texts, live))
        batch = _with_bytes_scrubbed(batch, self._secrets)
        return _with_values_withheld(batch, secret_names) if secret_names else batch

    def _without_personal(self, batch: Batch, kinds: Mapping[str, Sequence[str]]) -> Batch:
        attributes = batch.attributes
        reserved = [name for kind in (_SECRET, _PEOPLE, _PAYERS, CONTENT) for name in kinds[kind]]
        open_ = attributes["type"].is_in(TEXTUAL) & ~attributes["key"].is_in(reserved)
        machine = attributes["key"].is_in(kinds[_MACHINES])
        value = where(open_ & ~machine, attributes["value"], self._personal)
        value = where(open_ & machine, value, self._metadata)
        batch = batch.with_frames(attributes=attributes.with_columns(value))
        return self._names_and_texts(batch)
