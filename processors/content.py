"""`content`: what people and models say to each other stays, is blacked out, is hashed, or goes (DESIGN 4.2).

=========  =========================================================================================================
`drop`     (default) content attributes and log bodies are removed. Texts about failures, which may quote a prompt,
           keep only known phrases; stack traces go.
`hash`     content becomes ``hmac-sha256:<16 hex digits>``: equal texts stay recognisable as equal. Failures as `drop`.
`redact`   content stays, with secrets and personal data replaced by ``[REDACTED:<family>]``.
`keep`     content stays as it is; `redact` (the processor) still takes the secrets out.
=========  =========================================================================================================

What is content is decided by `processors.recognise` from the data in `processors.content_names`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final

import polars as pl

from processors.batch import VALUE_TYPE, Batch, Signal
from processors.error_texts import known_phrases
from processors.failures import without_quotes
from processors.families import PERSONAL, SECRETS
from processors.pseudonym import Pseudonym
from processors.recognise import bodies, content_attributes, content_kinds, genai_kinds
from processors.scrub import Scrubber
from processors.text_columns import where

_TEXTS: Final = ("records.body", "records.body_type", "records.status_message")


class ContentPolicy(StrEnum):
    """What becomes of content."""

    DROP = "drop"
    REDACT = "redact"
    HASH = "hash"
    KEEP = "keep"


class ContentProcessor:
    """Applies one policy to every batch.

    Args:
        policy: what becomes of content.
        key: the installation's secret for `hash`.

    Raises:
        ValueError: `hash` without a key of at least 16 bytes.
    """

    reads: ClassVar[frozenset[str]] = frozenset(
        {"attributes.*", "events.event", "events.record", "events.name", "scopes.scope", "scopes.name"}
        | {"records.record", "records.scope", "records.event_name", *_TEXTS}
    )
    writes: ClassVar[frozenset[str]] = frozenset({"attributes.*", *_TEXTS})

    def __init__(self, policy: ContentPolicy = ContentPolicy.DROP, key: bytes = b"") -> None:
        self._policy = policy
        self._pseudonym = Pseudonym(key) if policy is ContentPolicy.HASH else None
        self._scrubber = Scrubber(SECRETS + PERSONAL)
        self._kinds, self._genai = content_kinds(), genai_kinds()

    def __call__(self, batch: Batch) -> Batch:
        """The batch as the policy wants it."""
        if self._policy is ContentPolicy.KEEP:
            return batch
        kinds = self._kinds(batch.attributes["key"])
        batch = self._bodies(batch)
        if self._policy is not ContentPolicy.REDACT:
            batch = without_quotes(batch, kinds, self._genai)
        return self._attributes(batch, content_attributes(batch, kinds))

    def _attributes(self, batch: Batch, content: pl.Series) -> Batch:
        if not content.any():
            return batch
        if self._policy is ContentPolicy.DROP:
            return batch.with_frames(attributes=batch.attributes.filter(~content))
        treated = where(content, batch.attributes["value"], self._treated)
        return batch.with_frames(attributes=batch.attributes.with_columns(treated, self._type("type", content)))

    def _bodies(self, batch: Batch) -> Batch:
        if batch.signal is not Signal.LOGS or not (batch.records["body"] != "").any():
            return batch
        content, failure = bodies(batch, self._genai)
        body = where(content, batch.records["body"], self._treated)
        if self._policy is not ContentPolicy.REDACT:
            body = where(failure, body, known_phrases)
        return batch.with_frames(records=batch.records.with_columns(body, self._type("body_type", content)))

    def _treated(self, texts: pl.Series) -> pl.Series:
        """Content as the policy wants it."""
        if self._policy is ContentPolicy.REDACT:
            return self._scrubber(texts)
        return self._pseudonym(texts) if self._pseudonym else pl.repeat("", texts.len(), eager=True)

    def _type(self, column: str, content: pl.Series) -> pl.Expr:
        """A pseudonym is a string, and nothing is empty; text that was only blacked out is what it was."""
        new = {ContentPolicy.HASH: "string", ContentPolicy.DROP: "empty"}.get(self._policy)
        return pl.when(content).then(pl.lit(new, VALUE_TYPE)).otherwise(column).alias(column) if new else pl.col(column)
