"""What to change in LiteLLM's configuration (`config.yaml` of its proxy), as YAML."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import yaml


def _yaml(comment: str, content: dict[str, Any]) -> str:
    return f"# {comment}\n{yaml.safe_dump(content, sort_keys=False, default_flow_style=False)}"


def model(asked: str, other: str) -> str:
    """Another model answers for this one."""
    words = f"requests for {asked} go to {other}, which has to be in model_list"
    return _yaml(words, {"router_settings": {"model_group_alias": {asked: other}}})


def retries(most: int) -> str:
    """Fewer attempts."""
    return _yaml("attempts after the first", {"router_settings": {"num_retries": most}})


def fallback(asked: str, other: str) -> str:
    """Another fallback."""
    words = f"when {asked} fails; {other} has to be in model_list"
    return _yaml(words, {"router_settings": {"fallbacks": [{asked: [other]}]}})


def caching(name: str) -> str:
    """Mark the prefix of the conversation as cacheable."""
    points = [{"location": "message", "role": "system"}, {"location": "message", "index": -1}]
    deployment = {"model_name": name, "litellm_params": {"cache_control_injection_points": points}}
    return _yaml("add to what litellm_params of this model says already", {"model_list": [deployment]})


def budget(team: str, limit: Decimal, period: str) -> str:
    """A team's budget: it lives in LiteLLM's database, not in its configuration."""
    duration = {"day": "1d", "week": "7d", "month": "1mo"}[period]
    words = f"a call of the proxy's API, POST /team/update (team_id of {team or 'the team'})"
    return _yaml(words, {"team_id": team, "max_budget": float(limit), "budget_duration": duration})
