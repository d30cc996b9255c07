"""Secrets with a vendor's prefix beyond those of `secret_families`: model providers, clouds, services agents use."""

from __future__ import annotations

from typing import Final

from processors.family import ESCAPE, Family

_START: Final = rf"(?P<pre>^|[^A-Za-z0-9-]|{ESCAPE})"

SERVICES: Final[tuple[Family, ...]] = (
    Family(
        name="model_provider_key",
        meaning="keys of further model providers with a prefix: Cerebras, Fireworks, Together, Jina, LlamaCloud, "
        "ElevenLabs, Firecrawl; Amazon Bedrock API keys",
        pattern=_START + r"(?:csk-[a-z0-9]{40,}|fw_[A-Za-z0-9]{20,}|tgp_v1_[A-Za-z0-9_-]{30,}|jina_[A-Za-z0-9_-]{40,}"
        r"|llx-[A-Za-z0-9]{40,}|sk_[0-9a-f]{40,}|fc-[0-9a-f]{32}|ABSK[A-Za-z0-9+/]{60,}={0,2}"
        r"|bedrock-api-key-[A-Za-z0-9+/=]{40,})",
        literals=("csk-", "fw_", "tgp_v1_", "jina_", "llx-", "sk_", "ABSK", "bedrock-api-key-"),
        hint="fc-[0-9a-f]{32}",  # no literal: one UUID in sixty has an "fc-"
        redacts={
            "csk-¦" + "a1b2" * 12: "[REDACTED:model_provider_key]",
            "fw_¦3ZabcdefghijABCDEFGHIJ01": "[REDACTED:model_provider_key]",
            "tgp_v1_¦" + "aB3_" * 10: "[REDACTED:model_provider_key]",
            "jina_¦" + "0aB9" * 14: "[REDACTED:model_provider_key]",
            "llx-¦" + "Q0aB" * 12: "[REDACTED:model_provider_key]",
            "key=sk_¦" + "0a9f" * 12: "key=[REDACTED:model_provider_key]",
            r"\nfc-¦" + "0123456789abcdef" * 2: r"\n[REDACTED:model_provider_key]",
            "ABSK¦" + "QmVkcm9jaw" * 8 + "==": "[REDACTED:model_provider_key]",
        },
        leaves=("task_sk_0123", "fw_version", "jina_embeddings-v3", "fc-cache", "ABSKISSE", "desk_0123456789abcdef"),
    ),
    Family(
        name="cloud_key",
        meaning="Azure client secret, Google refresh token, key ids of Alibaba Cloud and Tencent Cloud",
        pattern=r"[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}|1//0[A-Za-z0-9_-]{40,}"
        r"|LTAI[A-Za-z0-9]{16,24}\b|AKID[A-Za-z0-9]{28,36}\b",
        literals=("Q~", "1//0", "LTAI", "AKID"),
        redacts={
            "aB38Q~¦" + "abcDEF0123" * 3 + "xyz0": "[REDACTED:cloud_key]",
            "1//0¦g" + "abcDEF0123" * 5: "[REDACTED:cloud_key]",
            "id LTAI¦5tAbCdEfGhIjKlMnOpQr.": "id [REDACTED:cloud_key].",
            "AKID¦" + "abcDEF01" * 4: "[REDACTED:cloud_key]",
        },
        leaves=("1//0", "VOLTAIRE", "AKID", "8Q~x", "http://h/1//0a"),
    ),
    Family(
        name="service_token",
        meaning="tokens of services agents use, with a prefix: Atlassian, Shopify, New Relic, Grafana, Sentry, Linear, "
        "Notion, Supabase, Heroku, Doppler, Figma, PlanetScale, Docker, Terraform, Postman",
        pattern=r"ATATT3[A-Za-z0-9_=-]{40,}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|NRAK-[A-Z0-9]{27}"
        r"|gl(?:c|sa)_[A-Za-z0-9+/=_]{32,}|sntry[su]_[A-Za-z0-9+/=_]{32,}|lin_(?:api|oauth)_[A-Za-z0-9]{32,}"
        r"|ntn_[A-Za-z0-9]{40,}|sb(?:p|_secret)_[A-Za-z0-9_-]{20,}|HRKU-[A-Za-z0-9_-]{36,}"
        r"|dp\.(?:pt|st|ct|sa)\.[A-Za-z0-9._-]{40,}|fig[du]_[A-Za-z0-9_-]{36,}|pscale_(?:tkn|pw)_[A-Za-z0-9._-]{32,}"
        r"|dckr_[po]at_[A-Za-z0-9_-]{26,}|[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,}|PMAK-[0-9a-f]{24}-[0-9a-f]{34}",
        literals=(
            "ATATT3",
            "shpat_",
            "shpca_",
            "shppa_",
            "shpss_",
            "NRAK-",
            "glc_",
            "glsa_",
            "sntrys_",
            "sntryu_",
            "lin_api_",
            "lin_oauth_",
            "ntn_",
            "sbp_",
            "sb_secret_",
            "HRKU-",
            "dp.pt.",
            "dp.st.",
            "dp.ct.",
            "dp.sa.",
            "figd_",
            "figu_",
            "pscale_",
            "dckr_",
            ".atlasv1.",
            "PMAK-",
        ),
        redacts={
            "ATATT3¦" + "xFfGF0abc_" * 6: "[REDACTED:service_token]",
            "shpat_¦" + "0123456789abcdef" * 2: "[REDACTED:service_token]",
            "NRAK-¦" + "ABC012345" * 3: "[REDACTED:service_token]",
            "glsa_¦" + "abcDEF0123" * 4: "[REDACTED:service_token]",
            "sntrys_¦" + "eyJpYXQi0123" * 4: "[REDACTED:service_token]",
            "lin_api_¦" + "abcDEF0123" * 4: "[REDACTED:service_token]",
            "ntn_¦" + "0123456789abcdefABCD" * 3: "[REDACTED:service_token]",
            "sbp_¦" + "0123456789abcdef" * 3: "[REDACTED:service_token]",
            "dp.pt.¦" + "abcDEF0123" * 5: "[REDACTED:service_token]",
            "dckr_pat_¦" + "abcDEF0123" * 3: "[REDACTED:service_token]",
            "abcDEF01234567.atlasv1.¦" + "abcDEF0123" * 7: "[REDACTED:service_token]",
        },
        leaves=("shpat_", "glc_cluster", "ntn_x", "dp.pt.x", "figd_", "pscale_org", "lin_api_key_missing"),
    ),
    Family(
        name="chat_webhook",
        meaning="incoming webhooks of Discord and Microsoft Teams",
        pattern=r"(?P<pre>/api/webhooks/[0-9]{15,22}/)[A-Za-z0-9_-]{40,}"
        r"|(?P<pre2>webhook\.office\.com/webhookb2/)[A-Za-z0-9@/_-]{40,}",
        literals=("/api/webhooks/", "webhook.office"),
        redacts={
            "https://discord.test/api/webhooks/123456789012345678/" + "aB3_" * 15: (
                "https://discord.test/api/webhooks/123456789012345678/[REDACTED:chat_webhook]"
            ),
        },
        leaves=("/api/webhooks/42/events",),
    ),
)
