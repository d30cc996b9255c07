"""Chains: what is done to a tenant's batches, in which order, as the settings say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from otel_exporter.config.processing import base_policy, is_stricter
from otel_exporter.plugins import before_ours, load
from processors.batch import Batch
from processors.chain import ORDER, Choices, build
from processors.content import ContentPolicy
from processors.content_by_caller import CallerPolicy
from processors.dialects.dialect import Dialect
from processors.redact import Identity

if TYPE_CHECKING:
    from otel_exporter.config import Settings
    from otel_exporter.config.processing import TenantSettings

Step = Callable[[Batch], Batch]
Chain = Sequence[Step]
_FIRST: Final = ORDER[: ORDER.index("content")]


def chains(settings: Settings) -> tuple[Chain, Mapping[str, Chain]]:
    """The chain of every tenant that is not named, and of those that are.

    Raises:
        Refused: a plug-in that cannot be loaded.
    """
    named = {one.tenant: one for one in settings.tenants}
    of_policies = {one.tenant for one in settings.content.policies if one.tenant}
    others = {tenant: _chain(settings, tenant, named.get(tenant)) for tenant in sorted({*named, *of_policies})}
    return _chain(settings, None, None), others


def keeps_content(settings: Settings) -> bool:
    """Whether some policy stores messages."""
    policies = {settings.content.policy, *(one.policy for one in settings.content.policies)}
    return bool(policies & {"keep", "redact"})


def _chain(settings: Settings, tenant: str | None, own: TenantSettings | None) -> Chain:
    names = settings.processors if own is None or own.processors is None else own.processors
    sampling = own.sampling if own and own.sampling else settings.sampling
    attributes = own.attributes if own and own.attributes else settings.attributes
    loaded = {name: load(name) for name in names if name not in ORDER}
    steps = {name: part for name, part in loaded.items() if not isinstance(part, Dialect)}
    content = settings.content
    policy = base_policy(content.policy, content.policies, tenant)
    choices = Choices(
        policy=ContentPolicy(policy),
        callers=tuple(
            CallerPolicy(ContentPolicy(one.policy), one.team or "*", one.application or "*")
            for one in content.policies
            if one.of_callers and one.tenant in (None, tenant) and not is_stricter(one.policy, policy)
        ),
        identity=Identity(content.identity),
        key=content.hash_key.reveal().encode() if content.hash_key else b"",
        share=sampling.spans,
        allow=attributes.allow,
        deny=attributes.deny,
        dialects=before_ours([part for part in loaded.values() if isinstance(part, Dialect)]),
    )
    return build(_order(names, steps), choices, steps)


def _order(names: Sequence[str], steps: Mapping[str, Step]) -> list[str]:
    """The names that are steps. A list that names none of ours means: ours, the user's before `content`."""
    if any(name in ORDER for name in names):
        return [name for name in names if name in ORDER or name in steps]
    return [*_FIRST, *(name for name in names if name in steps), *ORDER[len(_FIRST) :]]
