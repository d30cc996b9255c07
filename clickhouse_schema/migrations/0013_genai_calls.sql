-- why: one row per call as it stands now; the view everyone reads. FINAL folds entries with their reversals.
-- rewrites data: no
CREATE VIEW IF NOT EXISTS otel.genai_calls AS
SELECT
    call_key, request_key, attempt, is_final, retry_of, fallback_from, started_at, ended_at, duration_ms,
    ttft_ms, gateway_overhead_ms, tenant, organization, organization_id, team, team_id, project, project_id,
    user_id, end_user, api_key_alias, api_key_hash, cost_center, owner, labels, application, environment,
    host, user_agent, session_id, agent, tags, provider, operation, requested_model, model, response_model,
    response_id, deployment_id, api_base, service_tier, gateway, streaming, cache_hit, guardrails, status,
    error_type, error_code, finish_reasons, input_tokens, cache_read_tokens, cache_write_tokens,
    cache_write_1h_tokens, output_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens,
    image_tokens, input_includes_cached, cost_usd, cost_input_usd, cost_output_usd, cost_cache_usd,
    cost_other_usd, discount_usd, margin_usd, cost_source, cost_reported_usd, cost_local_usd, saved_usd,
    price_version, trace_id, span_id, parent_span_id, observations, sources, merged_by, issues
FROM otel.genai_ledger FINAL
WHERE sign = 1
SETTINGS do_not_merge_across_partitions_select_final = 1
