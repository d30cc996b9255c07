"""`content` where teams or applications have a policy of their own: each record under the policy of its caller.

The caller is the team and the application of the observation a span is, else what its resource says (`team`,
`service.name`). Resources and scopes are shared by many callers: they follow the policy that holds for everybody. So
does what names nobody, LiteLLM's span of the raw request for instance; therefore `Policies` loosen, they never tighten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

import polars as pl

from processors.batch import Batch, Signal
from processors.content import ContentPolicy, ContentProcessor
from processors.globs import fits_any
from processors.subset import observed

#: From the strictest to the laxest.
STRICTNESS: Final = (ContentPolicy.DROP, ContentPolicy.HASH, ContentPolicy.REDACT, ContentPolicy.KEEP)
_ROW, _RECORD = "@row", "@record"
_CHANGED: Final = ("status_message", "body", "body_type")


@dataclass(frozen=True)
class CallerPolicy:
    """The policy of a team, an application, or a team in an application (``*`` and ``?``: any text, any character)."""

    policy: ContentPolicy
    team: str = "*"
    application: str = "*"

    @cached_property
    def condition(self) -> pl.Expr:
        """Whether it is about the caller in the columns ``team`` and ``application``."""
        return fits_any(pl.col("team"), [self.team]) & fits_any(pl.col("application"), [self.application])


class ContentByCaller:
    """Applies a policy of its own to the content of some callers.

    Args:
        policy: for everybody else.
        own: asked in their order; the first that fits a caller holds.
        key: the installation's secret for `hash`.

    Raises:
        ValueError: `hash` without a key, or a policy stricter than the one for everybody.
    """

    reads: ClassVar[frozenset[str]] = (
        ContentProcessor.reads | {"records.*", "links.*", "exemplars.*"}
        | {f"observations.{name}" for name in ("trace_id", "span_id", "started_at", "team", "application")}
    )  # fmt: skip
    writes: ClassVar[frozenset[str]] = ContentProcessor.writes

    def __init__(self, policy: ContentPolicy, own: Sequence[CallerPolicy], key: bytes = b"") -> None:
        if stricter := [one for one in own if STRICTNESS.index(one.policy) < STRICTNESS.index(policy)]:
            raise ValueError(f"{stricter[0].policy} is stricter than {policy}: a caller's policy can only be laxer")
        self._policy, self._own = policy, tuple(own)
        self._processors = {one: ContentProcessor(one, key) for one in {policy, *(mine.policy for mine in own)}}

    def __call__(self, batch: Batch) -> Batch:
        """The batch as each caller's policy wants it."""
        chosen = self._chosen(batch)
        policies = [one for one in STRICTNESS if one == self._policy or (chosen == one.value).any()]
        if batch.signal is Signal.METRICS or len(policies) == 1:
            return self._processors[self._policy](batch)
        marked = batch.with_frames(attributes=batch.attributes.with_row_index(_ROW))
        treated = {one: self._processors[one](marked) for one in policies}
        return batch.with_frames(
            attributes=_attributes(batch, treated, self._of_attributes(batch, chosen)),
            records=_records(batch, treated, chosen),
        )

    def _chosen(self, batch: Batch) -> pl.Series:
        """The policy of each record."""
        seen = observed(batch) if batch.signal is Signal.TRACES else _nobody()
        seen = seen.unique("record", keep="first", maintain_order=True)
        callers = batch.records.select("record", "resource").join(seen, on="record", how="left", maintain_order="left")
        for column, key in (("team", "team"), ("application", "service.name")):
            said = batch.attributes.filter((pl.col("level") == "resource") & (pl.col("key") == key))
            said = said.unique("owner", keep="first").select(resource="owner", said="value")
            callers = callers.join(said, on="resource", how="left", maintain_order="left")
            callers = callers.with_columns(pl.coalesce(column, "said", pl.lit("")).alias(column)).drop("said")
        own = [pl.when(one.condition).then(pl.lit(one.policy.value)) for one in self._own]
        return callers.select(pl.coalesce(*own, pl.lit(self._policy.value)).alias("policy")).to_series()

    def _of_attributes(self, batch: Batch, chosen: pl.Series) -> pl.Series:
        """The policy of each attribute: its record's, where it has one."""
        of_records = batch.records.select(pl.col("record").alias(_RECORD)).with_columns(chosen)
        owners = [batch.records.select(pl.lit("record").alias("level"), owner="record", **{_RECORD: "record"})]
        for level in ("event", "link"):
            children: pl.DataFrame = getattr(batch, f"{level}s")
            owners.append(children.select(pl.lit(level).alias("level"), owner=level, **{_RECORD: "record"}))
        by_owner = pl.concat(owners).join(of_records, on=_RECORD)
        keys = batch.attributes.select(pl.col("level").cast(pl.String), "owner")
        joined = keys.join(by_owner, on=["level", "owner"], how="left", maintain_order="left")
        return joined["policy"].fill_null(self._policy.value)


def _attributes(batch: Batch, treated: dict[ContentPolicy, Batch], policy: pl.Series) -> pl.DataFrame:
    own = pl.DataFrame({_ROW: pl.arange(policy.len(), eager=True, dtype=pl.UInt32), "policy": policy})
    parts = [
        after.attributes.join(own.filter(pl.col("policy") == one.value), on=_ROW, how="semi")
        for one, after in treated.items()
    ]
    return pl.concat(parts).sort(_ROW).select(batch.attributes.columns)


def _records(batch: Batch, treated: dict[ContentPolicy, Batch], chosen: pl.Series) -> pl.DataFrame:
    records = batch.records
    for name in _CHANGED:
        if name in records.columns:
            column = records[name]
            for one, after in treated.items():
                column = after.records[name].zip_with(chosen == one.value, column)
            records = records.with_columns(column)
    return records


def _nobody() -> pl.DataFrame:
    return pl.DataFrame(schema={"record": pl.UInt32, "team": pl.String, "application": pl.String})
