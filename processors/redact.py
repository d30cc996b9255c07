"""`redact`: secrets go from every string of every signal and level; personal data from metadata and free text.

* Secrets (`processors.families.SECRETS`) are looked for in every text column: attribute keys and values at every level,
  names, schema URLs, status messages, log bodies, trace states, units, and what was derived into `observations`.
  An attribute whose name says it is a secret (``authorization``, ``x-api-key``, ``password``) loses its whole value.
* Personal data (`processors.families.PERSONAL`) is looked for everywhere but in three kinds of attributes: those that
  name people (they follow ``identity``), those that name payers, and content, which has a policy of its own
  (`processors.content`). In names and technical attributes (addresses, ids, versions) only e-mail addresses count.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar, Final

import polars as pl

from processors import identity_names as names
from processors.batch import VALUE_TYPE, Batch, Signal
from processors.content_names import named
from processors.families import PERSONAL, SECRET_NAMES, SECRETS, Reach
from processors.pseudonym import Pseudonym
from processors.recognise import CONTENT, TEXTUAL, Kinds, bodies, genai_kinds, is_content_name, is_plain_name
from processors.scrub import Scrubber, in_bytes
from processors.text_columns import (
    FREE_TEXTS,
    NAMES,
    Columns,
    changed,
    changed_observations,
    observation_columns,
    observation_texts,
    texts,
    where,
)
from processors.vocabulary import Vocabulary

_TAINTED, _SECRET, _PEOPLE, _PAYERS, _MACHINES = "tainted", "secret", "people", "payers", "machines"
_WITHHELD: Final = "[REDACTED:credential]"
_VALUES: Final = {"attributes": ("value",)}
_IDENTITIES: Final = (*names.PEOPLE_COLUMNS, *names.PAYER_COLUMNS, *names.IDENTIFIERS)
_WRITTEN: Final = frozenset(
    f"{frame}.{column}"
    for columns in (NAMES, FREE_TEXTS, {"attributes": ("key", "type", "value"), "observations": ("*",)})
    for frame, names_ in columns.items()
    for column in names_
)


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

    reads: ClassVar[frozenset[str]] = _WRITTEN | {
        "attributes.*", "records.record", "records.scope", "records.body_type", "scopes.scope"
    }  # fmt: skip
    writes: ClassVar[frozenset[str]] = _WRITTEN

    def __init__(self, identity: Identity = Identity.KEEP, key: bytes = b"") -> None:
        self._pseudonym = Pseudonym(key) if identity is Identity.HASH else None
        self._secrets = Scrubber(SECRETS)
        in_names = tuple(family for family in PERSONAL if family.reach is Reach.METADATA)
        self._personal = Scrubber(PERSONAL, again=Scrubber(SECRETS + PERSONAL))
        self._in_names = Scrubber(in_names, again=Scrubber(SECRETS + in_names))
        self._genai = genai_kinds()
        self._kinds = Vocabulary(
            {
                _TAINTED: self._secrets.occurs("name"),
                _SECRET: named("name", SECRET_NAMES),
                _PEOPLE: named("name", names.PEOPLE),
                _PAYERS: named("name", names.PAYERS),
                CONTENT: is_content_name() | is_plain_name(),
                _MACHINES: named("name", names.MACHINES),
            }
        )

    def __call__(self, batch: Batch) -> Batch:
        """The batch without secrets and personal data."""
        batch, kinds = self._with_clean_names(batch)
        batch = _cleaned(batch, self._secrets, (NAMES, FREE_TEXTS, _VALUES), ())
        batch = _withheld(self._without_secret_bytes(batch), kinds[_SECRET])
        batch = self._without_personal_attributes(batch, kinds)
        batch = self._without_personal_texts(batch)
        return self._with_pseudonyms(batch, kinds[_PEOPLE], self._pseudonym) if self._pseudonym else batch

    def _with_clean_names(self, batch: Batch) -> tuple[Batch, Kinds]:
        """Attribute names are few, so whether one holds a secret is remembered with its kind."""
        kinds = self._kinds(batch.attributes["key"])
        if not kinds[_TAINTED]:
            return batch, kinds
        batch = changed(batch, {"attributes": ("key",)}, self._secrets)
        return batch, self._kinds(batch.attributes["key"])

    def _without_secret_bytes(self, batch: Batch) -> Batch:
        """Bytes arrive as base64, where no pattern would see a secret."""
        is_bytes = batch.attributes["type"] == "bytes"
        if is_bytes.any():
            value = where(is_bytes, batch.attributes["value"], in_bytes(self._secrets))
            batch = batch.with_frames(attributes=batch.attributes.with_columns(value))
        if batch.signal is Signal.LOGS:
            body = where(batch.records["body_type"] == "bytes", batch.records["body"], in_bytes(self._secrets))
            batch = batch.with_frames(records=batch.records.with_columns(body))
        return batch

    def _without_personal_attributes(self, batch: Batch, kinds: Kinds) -> Batch:
        attributes = batch.attributes
        reserved = [name for kind in (_SECRET, _PEOPLE, _PAYERS, CONTENT) for name in kinds[kind]]
        open_ = attributes["type"].is_in(TEXTUAL) & ~attributes["key"].is_in(reserved)
        machine = attributes["key"].is_in(kinds[_MACHINES])
        value = where(open_ & ~machine, attributes["value"], self._personal)
        value = where(open_ & machine, value, self._in_names)
        return batch.with_frames(attributes=attributes.with_columns(value))

    def _without_personal_texts(self, batch: Batch) -> Batch:
        """Status messages, log bodies that are not content; names, and what observations say of no one's identity."""
        if batch.signal is Signal.TRACES:
            batch = changed(batch, {"records": ("status_message",)}, self._personal)
        if batch.signal is Signal.LOGS:
            body = where(~bodies(batch, self._genai)[0], batch.records["body"], self._personal)
            batch = batch.with_frames(records=batch.records.with_columns(body))
        return _cleaned(batch, self._in_names, (NAMES,), _IDENTITIES)

    def _with_pseudonyms(self, batch: Batch, people: Sequence[str], pseudonym: Pseudonym) -> Batch:
        attributes, seen = batch.attributes, batch.observations
        of_people = attributes["key"].is_in(people) & (attributes["value"] != "").fill_null(False)
        attributes = attributes.with_columns(where(of_people, attributes["value"], pseudonym), _string(of_people))
        seen = changed_observations(seen, names.PEOPLE_COLUMNS, pseudonym)
        return batch.with_frames(attributes=attributes, observations=seen)


def _cleaned(batch: Batch, scrubber: Scrubber, columns: Sequence[Columns], identities: Sequence[str]) -> Batch:
    """The batch with ``columns`` and observations (but for their ``identities``) scrubbed, after one search in all."""
    told = observation_columns(batch.observations, without=identities)
    searched = (column for group in columns for column in texts(batch, group))
    live = scrubber.found([*searched, *observation_texts(batch.observations, told)])
    if not live:
        return batch

    def scrub(column: pl.Series) -> pl.Series:
        return scrubber(column, live)

    for group in columns:
        batch = changed(batch, group, scrub)
    return batch.with_frames(observations=changed_observations(batch.observations, told, scrub))


def _withheld(batch: Batch, secret_names: Sequence[str]) -> Batch:
    """Attributes whose name says they are a secret, without their value."""
    if not secret_names:
        return batch
    attributes = batch.attributes
    secret = (
        attributes["key"].is_in(secret_names)
        & (attributes["value"] != "").fill_null(False)
        & (attributes["type"] != "bool")
    )
    value = where(secret, attributes["value"], lambda column: pl.repeat(_WITHHELD, column.len(), eager=True))
    return batch.with_frames(attributes=attributes.with_columns(value, _string(secret)))


def _string(chosen: pl.Series) -> pl.Expr:
    """Their type, now that the value is ours."""
    return pl.when(chosen).then(pl.lit("string", VALUE_TYPE)).otherwise("type").alias("type")
