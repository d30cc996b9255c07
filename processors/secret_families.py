"""Secrets: keys, tokens, passwords. They are taken out everywhere, whatever the content policy."""

from __future__ import annotations

from typing import Final

from processors.family import ESCAPE, Family

_START: Final = rf"(?P<pre>^|[^A-Za-z0-9-]|{ESCAPE})"
_GAP: Final = r"[ \t]{0,4}"
_BARE: Final = r"""[^ \t\r\n"'\\,;&<>(){}\[\]]"""
_QUOTED: Final = r"""(?P<q>\\+["'])[^"'\\]+|(?P<r>")(?:[^"\\]|\\.)+|(?P<s>')(?:[^'\\]|\\.)+"""
_SCHEME: Final = r"(?:(?i:bearer|basic|token|digest|apikey|api-key|negotiate)[ ]{1,4})"

#: Names of secrets, in the spellings people use: patterns and the literals to look for are both made of these.
_KEYS: Final = (
    "api_key api-key api\tkey apikey apiKey ApiKey Api-Key API_KEY API-KEY API-Key API\tkey API\tKey APIKey APIKEY "
    "access_key access-key access\tkey accesskey accessKey AccessKey Access-Key Access\tKey ACCESS_KEY "
    "account_key accountKey AccountKey ACCOUNT_KEY subscription_key subscription-key subscriptionKey Subscription-Key "
    "private_key privateKey PRIVATE_KEY master_key masterKey MASTER_KEY virtual_key secret_key secret-key secretKey "
    "SecretKey Secret-Key SECRET_KEY signing_key SIGNING_KEY encryption_key ENCRYPTION_KEY"
)
_PASSWORDS: Final = (
    "password Password PASSWORD passwd Passwd PASSWD passphrase Passphrase PASSPHRASE secret Secret SECRET"
)
_TOKENS: Final = (
    "access_token access-token accessToken AccessToken ACCESS_TOKEN refresh_token refreshToken REFRESH_TOKEN "
    "auth_token auth-token authToken AuthToken AUTH_TOKEN Auth-Token id_token idToken IdToken ID_TOKEN "
    "session_token sessionToken SessionToken SESSION_TOKEN security_token security-token Security-Token SecurityToken "
    "bearer_token BEARER_TOKEN api_token apiToken API_TOKEN oauth_token oauthToken OAUTH_TOKEN"
)
_NAMES: Final = tuple(name.replace("\t", " ") for name in f"{_KEYS} {_PASSWORDS}".split(" "))
_TOKEN_NAMES: Final = tuple(_TOKENS.split())
_TOKEN_ENDS: Final = (":", "=", '"', "'", "\\")


def _endings(names: tuple[str, ...], then: tuple[str, ...] = ("",)) -> tuple[str, ...]:
    """Literals that every one of ``names`` contains: lower and capitalised spelling share all but the first letter."""
    return tuple(sorted({name[1:] + end for name in names for end in then}))


#: Attribute names that say their whole value is a secret.
SECRET_NAMES: Final = (
    (
        rf"(?i:.*(?:{'|'.join(dict.fromkeys(name.lower().replace(' ', '_') for name in _NAMES + _TOKEN_NAMES))}"
        r"|authorization|cookie2?|credentials?|x[._-][a-z_-]{0,24}(?:key|token|auth)))(?:\.[0-9]+)?"
    ),
)

SECRETS: Final[tuple[Family, ...]] = (
    Family(
        name="private_key",
        meaning="PEM private key, to its END line or, where that was cut off, as far as it can reach",
        pattern=r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?:[^-]|-{1,4}[^-])*-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
        r"|(?:[A-Za-z0-9+/=:,. \t\r\n-]|\\+[nrt])*)",
        literals=("-----BEGIN ",),
        redacts={
            "-----BEGIN RSA PRIVATE ¦KEY-----\nMIIEow=\n-----END RSA PRIVATE KEY-----\nx": "[REDACTED:private_key]\nx",
            "-----BEGIN PRIVATE ¦KEY-----\\nMIIEvQ\\ncut": "[REDACTED:private_key]",
        },
        leaves=("-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----"),
    ),
    Family(
        name="authorization",
        meaning="value of an Authorization header, in any notation",
        pattern=rf"(?P<pre>(?:[aA]uthorization|AUTHORIZATION)\\*[\"']?{_GAP}[:=]{_GAP})"
        rf"(?:{_QUOTED}|{_SCHEME}?{_BARE}+)",
        literals=("uthorization", "UTHORIZATION"),
        redacts={
            "Authorization: Basic dXNlcjpwYXNz then": "Authorization: [REDACTED:authorization] then",
            '{"authorization": "Bearer abc"}': '{"authorization": "[REDACTED:authorization]"}',
            r"{\"authorization\":\"Bearer abc\"}": r"{\"authorization\":\"[REDACTED:authorization]\"}",
            "{'Authorization': 'Bearer abc', 'x': 1}": "{'Authorization': '[REDACTED:authorization]', 'x': 1}",
        },
        leaves=("authorization is required", "{'authorization': {'type': 'string'}}"),
    ),
    Family(
        name="cookie",
        meaning="Cookie and Set-Cookie headers",
        pattern=rf"(?P<pre>(?:[cC]ookie|COOKIE)2?\\*[\"']?{_GAP}:{_GAP})(?:{_QUOTED}|[^ \t\r\n=;\"'\\]+=[^\r\n\"'\\]+)",
        literals=("ookie", "OOKIE"),
        redacts={
            "Cookie: sid=abc; theme=dark\nHost: x": "Cookie: [REDACTED:cookie]\nHost: x",
            '"set-cookie": "sid=abc; Path=/"': '"set-cookie": "[REDACTED:cookie]"',
        },
        leaves=("cookie: a small cake", "cookies=enabled"),
    ),
    Family(
        name="credential",
        meaning="value assigned to a name such as password, api_key, client_secret, access_token",
        pattern=rf"(?P<pre>(?:(?:{'|'.join(_NAMES)})\\*[\"']?{_GAP}|(?:{'|'.join(_TOKEN_NAMES)})\\*[\"']?))"
        rf"(?:(?P<pre2>(?:={{1,2}}>?|:){_GAP})(?:{_QUOTED})"
        rf"|(?P<pre3>={{1,2}}>?{_GAP}){_SCHEME}?{_BARE}{{3,}}"
        rf"|(?P<pre4>:{_GAP}){_SCHEME}?{_BARE}{{6,}})",
        literals=_endings(_NAMES) + _endings(("token", "TOKEN"), _TOKEN_ENDS),
        redacts={
            "aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMP": "aws_secret_access_key=[REDACTED:credential]",
            '{"password": "hunter2"}': '{"password": "[REDACTED:credential]"}',
            "{'api_key': 'k', 'n': 1}": "{'api_key': '[REDACTED:credential]', 'n': 1}",
            r'"{\"client_secret\": \"a b c\"}"': r'"{\"client_secret\": \"[REDACTED:credential]\"}"',
            "https://x.test/v1?api_key=0123456789abcdef&v=2": "https://x.test/v1?api_key=[REDACTED:credential]&v=2",
            "AccountKey=abcdef0123456789+/==;EndpointSuffix=x": "AccountKey=[REDACTED:credential];EndpointSuffix=x",
            "x-api-key: 0123456789abcdef": "x-api-key: [REDACTED:credential]",
        },
        leaves=(
            "'user_api_key_hash': '2ab06cfadcdcc1bb1a1ff9edefb028084a837b3ed7b95f97e602b960ee127471'",
            '{"api_key": {"type": "string"}}',
            "{'api_key': None, 'password': ''}",
            "max_tokens=64, prompt_tokens: 2048000",
            "the secret of a good soup",
        ),
    ),
    Family(
        name="token",
        meaning="long opaque value assigned to a name ending in `token`",
        pattern=rf"(?P<pre>(?:[tT]oken|TOKEN)\\*[\"']?[:=]{_GAP}\\*[\"']?)[A-Za-z0-9._~+/=-]{{16,}}",
        literals=_endings(("token", "TOKEN"), _TOKEN_ENDS),
        redacts={
            "token: 0123456789abcdef0123": "token: [REDACTED:token]",
            '"token":"0123456789abcdef"': '"token":"[REDACTED:token]"',
        },
        leaves=("token: authorised", "'total_tokens': 1234567890123456", "x-ratelimit-remaining-tokens: 149999"),
    ),
    Family(
        name="bearer_token",
        meaning="`Bearer <token>` anywhere",
        pattern=r"(?P<pre>(?:[bB]earer|BEARER)[ ]{1,4})"
        r"(?:[A-Za-z._~+/=-]{0,64}[0-9][A-Za-z0-9._~+/=-]{3,}|[A-Za-z0-9._~+/=-]{20,})",
        literals=("earer ", "EARER "),
        redacts={
            "header Bearer abcdefghijklmnopqrstuvwx": "header Bearer [REDACTED:bearer_token]",
            "BEARER sk-1234": "BEARER [REDACTED:bearer_token]",
        },
        leaves=("a bearer token is needed", "bearer authentication", "the bearer of news"),
    ),
    Family(
        name="anthropic_key",
        meaning="Anthropic API and admin keys",
        pattern=r"sk-ant-[A-Za-z0-9_-]{8,}",
        literals=("sk-ant-",),
        redacts={"use sk-ant-¦api03-AbCd_0123456789-xyz now": "use [REDACTED:anthropic_key] now"},
        leaves=("sk-ant-hill",),
    ),
    Family(
        name="openai_key",
        meaning="OpenAI, LiteLLM virtual, OpenRouter, Langfuse and other keys that start with `sk-`",
        pattern=_START + r"sk-(?:(?:proj|svcacct|admin|service|None|or-v1|lf|live|test)-[A-Za-z0-9_-]{8,}"
        r"|[A-Za-z0-9_]{16,}[A-Za-z0-9_-]*|[a-z_-]{0,48}[A-Z0-9][A-Za-z0-9_-]{11,})",
        literals=("sk-",),
        redacts={
            "key sk-¦proj-abcDEF0123456789_-abcDEF": "key [REDACTED:openai_key]",
            r"first\nsk-¦abcdefghijklmnopqrstuvwxyz0123": r"first\n[REDACTED:openai_key]",
            "sk-¦A1b2C3d4E5f6G7h8I9j0kl": "[REDACTED:openai_key]",
        },
        leaves=(
            "risk-averse-and-very-long-phrases",
            "sk-learn-contrib-metrics",
            "sk-SK",
            "sk-1234",
            "hash-of-sk-team-abc-0123456789abcdef",
        ),
    ),
    Family(
        name="aws_key_pair",
        meaning="AWS secret access key right after its access key id",
        pattern=r"(?:AKIA|ASIA)[A-Z0-9]{16}[^A-Za-z0-9/+]{1,5}[A-Za-z0-9/+]{40}",
        literals=("AKIA", "ASIA"),
        redacts={"AKIA¦IOSFODNN7EXAMPLE,wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY": "[REDACTED:aws_key_pair]"},
    ),
    Family(
        name="aws_access_key",
        meaning="AWS access key id",
        pattern=r"(?:AKIA|ASIA)[A-Z0-9]{16,}",
        literals=("AKIA", "ASIA"),
        redacts={"id AKIA¦IOSFODNN7EXAMPLE.": "id [REDACTED:aws_access_key]."},
        leaves=("AKIA in capitals", "ASIA PACIFIC"),
    ),
    Family(
        name="aws_session_token",
        meaning="AWS temporary session token",
        pattern=r"(?:IQoJb3JpZ2lu|FwoGZXIvYXdz|FQoGZXIvYXdz)[A-Za-z0-9/+=_-]{40,}",
        literals=("IQoJb3JpZ2lu", "FwoGZXIvYXdz", "FQoGZXIvYXdz"),
        redacts={"IQoJb3JpZ2lu" + "Ab0/" * 20: "[REDACTED:aws_session_token]"},
    ),
    Family(
        name="google_key",
        meaning="Google API key, OAuth access token and client secret",
        pattern=r"AIza[0-9A-Za-z_-]{30,}|ya29\.[0-9A-Za-z_-]{20,}|GOCSPX-[0-9A-Za-z_-]{20,}",
        literals=("AIza", "ya29.", "GOCSPX-"),
        redacts={"?k=AIza¦SyA0123456789-abcdefghijklmnopqrstu": "?k=[REDACTED:google_key]"},
        leaves=("AIzawa", "ya29.5"),
    ),
    Family(
        name="azure_key",
        meaning="Azure AI key",
        pattern=rf"(?P<pre>{ESCAPE})?[A-Za-z0-9]{{40,60}}JQQJ99[A-Za-z0-9]{{20,40}}",
        literals=("JQQJ99",),
        redacts={"b" * 52 + "JQQJ99" + "A0" * 13: "[REDACTED:azure_key]"},
    ),
    Family(
        name="url_signature",
        meaning="signature of a shared access URL",
        pattern=r"(?P<pre>[?&;](?:sig|[sS]ignature|X-Amz-Signature)=)[A-Za-z0-9%+/=_-]{20,}",
        literals=("sig=", "ignature="),
        redacts={
            "https://x.test/c?a=1&sig=abcDEF0123456789%2Babc%3D": "https://x.test/c?a=1&sig=[REDACTED:url_signature]"
        },
        leaves=("?sig=short",),
    ),
    Family(
        name="github_token",
        meaning="GitHub personal, OAuth, app and refresh tokens; GitLab personal tokens",
        pattern=r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_.-]{20,}",
        literals=("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-"),
        redacts={"ghp_¦abcdefghijABCDEFGHIJ0123456789abcdef": "[REDACTED:github_token]"},
        leaves=("ghp_short", "github_pat_"),
    ),
    Family(
        name="slack_token",
        meaning="Slack tokens and incoming webhooks",
        pattern=r"xox[a-z](?:\.[a-z]+)?-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"
        r"|hooks\.slack\.com/services/[A-Za-z0-9/]{20,}",
        literals=("xox", "xapp-", "hooks.slack"),
        redacts={"xox¦b-123456789012-abcdefABCDEF": "[REDACTED:slack_token]"},
        leaves=("xoxo", "xapp-store"),
    ),
    Family(
        name="stripe_key",
        meaning="Stripe secret, restricted and webhook keys",
        pattern=r"[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,}",
        literals=("k_live_", "k_test_", "whsec_"),
        redacts={"sk_¦live_0123456789abcdefABCDEF": "[REDACTED:stripe_key]"},
        leaves=("task_test_of_everything", "pk_live_"),
    ),
    Family(
        name="hugging_face_token",
        meaning="Hugging Face access token",
        pattern=r"hf_[A-Za-z0-9]{20,}|api_org_[A-Za-z0-9]{20,}",
        literals=("hf_", "api_org_"),
        redacts={"hf_¦abcdefghijABCDEFGHIJ0123456789abcd": "[REDACTED:hugging_face_token]"},
        leaves=("hf_hub_download", "half_hf_"),
    ),
    Family(
        name="tokentide_key",
        meaning="our own API keys (`tokentide keys create`)",
        pattern=r"tt_[0-9a-f]{12}_[A-Za-z0-9_-]{20,}",
        literals=("tt_",),
        redacts={
            "KEY=tt_¦0123456789ab_abcdefghijABCDEFGHIJ-_0123456789abcdefghijk;": "KEY=[REDACTED:tokentide_key];",
            "http://x:tt_¦fedcba987654_ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefg/": "http://x:[REDACTED:tokentide_key]/",
        },
        leaves=("tt_0123456789ab", "key tt_4f1c... of search", "watt_0123456789ab_total", "tt_0123456789ab_short"),
    ),
    Family(
        name="vendor_token",
        meaning="keys with a vendor's prefix: Groq, xAI, Perplexity, Replicate, NVIDIA, Tavily, Pinecone, LangSmith, "
        "Databricks, npm, PyPI, DigitalOcean, Vault, age",
        pattern=r"gsk_[A-Za-z0-9]{20,}|xai-[A-Za-z0-9]{20,}|pplx-[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{30,}"
        r"|nvapi-[A-Za-z0-9_-]{20,}|tvly-[A-Za-z0-9_-]{20,}|pcsk_[A-Za-z0-9_]{20,}|lsv2_[a-z]{2}_[A-Za-z0-9_]{20,}"
        r"|dapi[0-9a-f]{32}|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,}|do[opr]_v1_[0-9a-f]{40,}"
        r"|hvs\.[A-Za-z0-9_-]{20,}|AGE-SECRET-KEY-1[0-9A-Z]{20,}",
        literals=(
            "gsk_",
            "xai-",
            "pplx-",
            "r8_",
            "nvapi-",
            "tvly-",
            "pcsk_",
            "lsv2_",
            "dapi",
            "npm_",
            "pypi-",
            "dop_v1_",
            "doo_v1_",
            "dor_v1_",
            "hvs.",
            "AGE-SECRET",
        ),
        redacts={
            "gsk_¦abcdefghijABCDEFGHIJ0123456789": "[REDACTED:vendor_token]",
            "xai-¦abcdefghijABCDEFGHIJ0123456789": "[REDACTED:vendor_token]",
            "dapi¦0123456789abcdef0123456789abcdef": "[REDACTED:vendor_token]",
            "npm_¦abcdefghijABCDEFGHIJ0123456789": "[REDACTED:vendor_token]",
            "hvs.¦abcdefghijABCDEFGHIJ0123": "[REDACTED:vendor_token]",
        },
        leaves=("npm_config_registry", "xai-org/grok", "pypi-packages"),
    ),
    Family(
        name="mail_service_key",
        meaning="SendGrid key",
        pattern=r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
        literals=("SG.",),
        redacts={
            "SG.¦abcdefghij0123456789AB.abcdefghij0123456789abcdefghij0123456789ABC": "[REDACTED:mail_service_key]"
        },
        leaves=("MSG.id",),
    ),
    Family(
        name="bot_token",
        meaning="Telegram bot token",
        pattern=r"[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}",
        literals=(":AA",),
        redacts={"123456789:AA¦abcdefghijABCDEFGHIJ0123456789abcd": "[REDACTED:bot_token]"},
        leaves=("10:AA",),
    ),
    Family(
        name="jwt",
        meaning="JSON Web Token, signed or encrypted",
        pattern=r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,3}",
        literals=("eyJ",),
        redacts={"t=eyJ¦hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcDEF-_123, x": "t=[REDACTED:jwt], x"},
        leaves=("eyJhIjoxfQ==", "eyJ.eyJ"),
    ),
    Family(
        name="url_password",
        meaning="password in a URL",
        pattern=r"(?P<pre>:\\?/\\?/[^ \t\r\n/:@\"'\\?#]*:)[^ \t\r\n/\"'\\?#]+(?P<post>@)",
        hint="@",
        redacts={"postgres://app:p4@ss@db:5432/x": "postgres://app:[REDACTED:url_password]@db:5432/x"},
        leaves=("http://127.0.0.1:8901/v1", "https://example.org/@user"),
    ),
)
