"""What is done to records on their way, as the configuration says it: which steps, for whom, how much stays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from otel_exporter.config.section import Broken, Section
from otel_exporter.config.values import Tenant

Policy = Literal["drop", "redact", "hash", "keep"]
#: As `processors.content_by_caller.STRICTNESS`.
_STRICTNESS: Final = ("drop", "hash", "redact", "keep")
#: One of ours, or a user's own.
ProcessorName = Annotated[
    str,
    StringConstraints(pattern=r"^(normalise|sample|content|redact|identify|attributes|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$"),
]


class ContentPolicySettings(Section):
    """The content policy of a tenant, a team, an application."""

    policy: Policy = Field(description="As `content.policy`.")
    tenant: Tenant | None = Field(default=None, description="Whose records; unset: everybody's.")
    team: str = Field(default="", description="Only of this team; `*` and `?` stand for any text. Unset: of all.")
    application: str = Field(default="", description="Only of this application. Unset: of all.")

    @property
    def of_callers(self) -> bool:
        """Whether it is about some callers only."""
        return bool(self.team or self.application)


def base_policy(policy: Policy, policies: tuple[ContentPolicySettings, ...], tenant: str | None) -> Policy:
    """What holds for a tenant's callers that have no policy of their own."""
    return next((one.policy for one in policies if one.tenant == tenant and tenant and not one.of_callers), policy)


def is_stricter(policy: Policy, base: Policy) -> bool:
    """Whether less is kept under ``policy``."""
    return _STRICTNESS.index(policy) < _STRICTNESS.index(base)


def broken_policies(policy: Policy, policies: tuple[ContentPolicySettings, ...]) -> Iterator[Broken]:
    """A caller's policy is never stricter: a span that does not name its caller would escape it."""
    for index, one in enumerate(policies):
        if not one.of_callers:
            if one.tenant is None:
                yield ("policies", index, "tenant"), "is required (or team, or application): content.policy is for all"
            continue
        if is_stricter(one.policy, base_policy(policy, policies, one.tenant)):
            yield ("policies", index, "policy"), "must not be stricter than that of everybody else"


class SamplingSettings(Section):
    """How much is kept of what is no LLM call."""

    spans: float = Field(
        default=1.0, ge=0, le=1, description="Share of the traces whose spans are kept; spans of GenAI always are."
    )


class AttributeSettings(Section):
    """Which attributes are stored in the `otel_*` tables. The ledger is the same whatever they say."""

    allow: tuple[str, ...] = Field(
        default=(), description="Names to store; `*` and `?` stand for any text. None: all. `service.name` always is."
    )
    deny: tuple[str, ...] = Field(default=(), description="Names not to store, even of those allowed.")


class TenantSettings(Section):
    """What is different for one tenant. What is not said here is as for everybody."""

    tenant: Tenant = Field(description="Which one.")
    processors: tuple[ProcessorName, ...] | None = Field(default=None, description="As `processors`.")
    sampling: SamplingSettings | None = Field(default=None, description="As `sampling`.")
    attributes: AttributeSettings | None = Field(default=None, description="As `attributes`.")

    def broken_rules(self) -> Iterator[Broken]:
        """The order can be kept."""
        yield from broken_order(self.processors or ())


def broken_order(names: tuple[str, ...]) -> Iterator[Broken]:
    """Where ours are named at all, all that are needed are, in their order."""
    if any(":" not in name for name in names):
        from processors.chain import check

        try:
            check(names)
        except ValueError as error:
            yield ("processors",), f"cannot be used: {error}"
