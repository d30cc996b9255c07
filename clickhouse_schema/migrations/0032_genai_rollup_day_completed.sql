-- why: fills genai_rollup_day with what the ledger held before there were rollups. It adds the difference between the
-- two, so that running it again, also after it was cut, adds only what is missing.
-- rewrites data: no
INSERT INTO otel.genai_rollup_day (bucket, tenant, team, application, provider, model, requested_model, organization, team_id, project, cost_center, owner, user_id, api_key_alias, api_key_hash, environment, agent, operation, deployment_id, gateway, service_tier, status, error_type, error_code, cache_hit, cost_source, is_final, fallback_from, calls, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost_usd, cost_input_usd, cost_output_usd, cost_cache_usd, cost_other_usd, discount_usd, margin_usd, cost_reported_usd, cost_local_usd, saved_usd, unpriced_calls, unknown_token_calls, retried_calls, streaming_calls, duration_us, duration_calls, duration_buckets, ttft_us, ttft_calls, ttft_buckets, overhead_us, overhead_calls, overhead_buckets)
SELECT bucket, tenant, team, application, provider, model, requested_model, organization, team_id, project, cost_center, owner, user_id, api_key_alias, api_key_hash, environment, agent, operation, deployment_id, gateway, service_tier, status, error_type, error_code, cache_hit, cost_source, is_final, fallback_from, calls, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost_usd, cost_input_usd, cost_output_usd, cost_cache_usd, cost_other_usd, discount_usd, margin_usd, cost_reported_usd, cost_local_usd, saved_usd, unpriced_calls, unknown_token_calls, retried_calls, streaming_calls, duration_us, duration_calls, duration_buckets, ttft_us, ttft_calls, ttft_buckets, overhead_us, overhead_calls, overhead_buckets FROM (
SELECT bucket, tenant, team, application, provider, model, requested_model, organization, team_id, project, cost_center, owner, user_id, api_key_alias, api_key_hash, environment, agent, operation, deployment_id, gateway, service_tier, status, error_type, error_code, cache_hit, cost_source, is_final, fallback_from, sum(row.calls) AS calls, sum(row.input_tokens) AS input_tokens, sum(row.cache_read_tokens) AS cache_read_tokens, sum(row.cache_write_tokens) AS cache_write_tokens, sum(row.output_tokens) AS output_tokens, sum(row.reasoning_tokens) AS reasoning_tokens, sum(row.cost_usd) AS cost_usd, sum(row.cost_input_usd) AS cost_input_usd, sum(row.cost_output_usd) AS cost_output_usd, sum(row.cost_cache_usd) AS cost_cache_usd, sum(row.cost_other_usd) AS cost_other_usd, sum(row.discount_usd) AS discount_usd, sum(row.margin_usd) AS margin_usd, sum(row.cost_reported_usd) AS cost_reported_usd, sum(row.cost_local_usd) AS cost_local_usd, sum(row.saved_usd) AS saved_usd, sum(row.unpriced_calls) AS unpriced_calls, sum(row.unknown_token_calls) AS unknown_token_calls, sum(row.retried_calls) AS retried_calls, sum(row.streaming_calls) AS streaming_calls, sum(row.duration_us) AS duration_us, sum(row.duration_calls) AS duration_calls, sumMap(row.duration_buckets) AS duration_buckets, sum(row.ttft_us) AS ttft_us, sum(row.ttft_calls) AS ttft_calls, sumMap(row.ttft_buckets) AS ttft_buckets, sum(row.overhead_us) AS overhead_us, sum(row.overhead_calls) AS overhead_calls, sumMap(row.overhead_buckets) AS overhead_buckets FROM (
WITH
    if(ifNull(entry.duration_ms BETWEEN 0 AND 1e12, false), toInt64(round(ifNull(entry.duration_ms, 0) * 1000)), -1) AS duration,
    if(ifNull(entry.ttft_ms BETWEEN 0 AND 1e12, false), toInt64(round(ifNull(entry.ttft_ms, 0) * 1000)), -1) AS ttft,
    if(ifNull(entry.gateway_overhead_ms BETWEEN 0 AND 1e12, false), toInt64(round(ifNull(entry.gateway_overhead_ms, 0) * 1000)), -1) AS overhead
SELECT
    toDateTime(toStartOfDay(toDateTime(least(greatest(intDiv(toUnixTimestamp64Nano(entry.started_at), 1000000000), 0), 4291747199), 'UTC')), 'UTC') AS bucket,
    entry.tenant AS tenant,
    entry.team AS team,
    entry.application AS application,
    entry.provider AS provider,
    entry.model AS model,
    entry.requested_model AS requested_model,
    entry.organization AS organization,
    entry.team_id AS team_id,
    entry.project AS project,
    entry.cost_center AS cost_center,
    entry.owner AS owner,
    entry.user_id AS user_id,
    entry.api_key_alias AS api_key_alias,
    entry.api_key_hash AS api_key_hash,
    entry.environment AS environment,
    entry.agent AS agent,
    entry.operation AS operation,
    entry.deployment_id AS deployment_id,
    entry.gateway AS gateway,
    entry.service_tier AS service_tier,
    entry.status AS status,
    entry.error_type AS error_type,
    entry.error_code AS error_code,
    entry.cache_hit AS cache_hit,
    entry.cost_source AS cost_source,
    entry.is_final AS is_final,
    entry.fallback_from AS fallback_from,
    sum(toInt64(entry.sign)) AS calls,
    sum(toInt64(ifNull(entry.input_tokens, 0)) * entry.sign) AS input_tokens,
    sum(toInt64(ifNull(entry.cache_read_tokens, 0)) * entry.sign) AS cache_read_tokens,
    sum(toInt64(ifNull(entry.cache_write_tokens, 0)) * entry.sign) AS cache_write_tokens,
    sum(toInt64(ifNull(entry.output_tokens, 0)) * entry.sign) AS output_tokens,
    sum(toInt64(ifNull(entry.reasoning_tokens, 0)) * entry.sign) AS reasoning_tokens,
    sum(ifNull(entry.cost_usd, 0) * entry.sign) AS cost_usd,
    sum(ifNull(entry.cost_input_usd, 0) * entry.sign) AS cost_input_usd,
    sum(ifNull(entry.cost_output_usd, 0) * entry.sign) AS cost_output_usd,
    sum(ifNull(entry.cost_cache_usd, 0) * entry.sign) AS cost_cache_usd,
    sum(ifNull(entry.cost_other_usd, 0) * entry.sign) AS cost_other_usd,
    sum(ifNull(entry.discount_usd, 0) * entry.sign) AS discount_usd,
    sum(ifNull(entry.margin_usd, 0) * entry.sign) AS margin_usd,
    sum(ifNull(entry.cost_reported_usd, 0) * entry.sign) AS cost_reported_usd,
    sum(ifNull(entry.cost_local_usd, 0) * entry.sign) AS cost_local_usd,
    sum(ifNull(entry.saved_usd, 0) * entry.sign) AS saved_usd,
    sumIf(toInt64(entry.sign), isNull(entry.cost_usd)) AS unpriced_calls,
    sumIf(toInt64(entry.sign), has(entry.issues, 'tokens_unknown')) AS unknown_token_calls,
    sumIf(toInt64(entry.sign), ifNull(entry.attempt, 0) > 1) AS retried_calls,
    sumIf(toInt64(entry.sign), ifNull(entry.streaming, false)) AS streaming_calls,
    sumIf(duration * entry.sign, duration >= 0) AS duration_us,
    sumIf(toInt64(entry.sign), duration >= 0) AS duration_calls,
    sumMapIf(map(toUInt16(greatest(ceil(log2(greatest(duration, 1)) * 8) - 1, 0)), toInt64(entry.sign)), duration >= 0) AS duration_buckets,
    sumIf(ttft * entry.sign, ttft >= 0) AS ttft_us,
    sumIf(toInt64(entry.sign), ttft >= 0) AS ttft_calls,
    sumMapIf(map(toUInt16(greatest(ceil(log2(greatest(ttft, 1)) * 8) - 1, 0)), toInt64(entry.sign)), ttft >= 0) AS ttft_buckets,
    sumIf(overhead * entry.sign, overhead >= 0) AS overhead_us,
    sumIf(toInt64(entry.sign), overhead >= 0) AS overhead_calls,
    sumMapIf(map(toUInt16(greatest(ceil(log2(greatest(overhead, 1)) * 8) - 1, 0)), toInt64(entry.sign)), overhead >= 0) AS overhead_buckets
FROM otel.genai_ledger AS entry
GROUP BY bucket, tenant, team, application, provider, model, requested_model, organization, team_id, project, cost_center, owner, user_id, api_key_alias, api_key_hash, environment, agent, operation, deployment_id, gateway, service_tier, status, error_type, error_code, cache_hit, cost_source, is_final, fallback_from
UNION ALL
SELECT bucket, tenant, team, application, provider, model, requested_model, organization, team_id, project, cost_center, owner, user_id, api_key_alias, api_key_hash, environment, agent, operation, deployment_id, gateway, service_tier, status, error_type, error_code, cache_hit, cost_source, is_final, fallback_from, -calls AS calls, -input_tokens AS input_tokens, -cache_read_tokens AS cache_read_tokens, -cache_write_tokens AS cache_write_tokens, -output_tokens AS output_tokens, -reasoning_tokens AS reasoning_tokens, -cost_usd AS cost_usd, -cost_input_usd AS cost_input_usd, -cost_output_usd AS cost_output_usd, -cost_cache_usd AS cost_cache_usd, -cost_other_usd AS cost_other_usd, -discount_usd AS discount_usd, -margin_usd AS margin_usd, -cost_reported_usd AS cost_reported_usd, -cost_local_usd AS cost_local_usd, -saved_usd AS saved_usd, -unpriced_calls AS unpriced_calls, -unknown_token_calls AS unknown_token_calls, -retried_calls AS retried_calls, -streaming_calls AS streaming_calls, -duration_us AS duration_us, -duration_calls AS duration_calls, mapApply((k, n) -> (k, -n), duration_buckets) AS duration_buckets, -ttft_us AS ttft_us, -ttft_calls AS ttft_calls, mapApply((k, n) -> (k, -n), ttft_buckets) AS ttft_buckets, -overhead_us AS overhead_us, -overhead_calls AS overhead_calls, mapApply((k, n) -> (k, -n), overhead_buckets) AS overhead_buckets FROM otel.genai_rollup_day
) AS row GROUP BY bucket, tenant, team, application, provider, model, requested_model, organization, team_id, project, cost_center, owner, user_id, api_key_alias, api_key_hash, environment, agent, operation, deployment_id, gateway, service_tier, status, error_type, error_code, cache_hit, cost_source, is_final, fallback_from
)
WHERE calls != 0 OR input_tokens != 0 OR cache_read_tokens != 0 OR cache_write_tokens != 0 OR output_tokens != 0 OR reasoning_tokens != 0 OR cost_usd != 0 OR cost_input_usd != 0 OR cost_output_usd != 0 OR cost_cache_usd != 0 OR cost_other_usd != 0 OR discount_usd != 0 OR margin_usd != 0 OR cost_reported_usd != 0 OR cost_local_usd != 0 OR saved_usd != 0 OR unpriced_calls != 0 OR unknown_token_calls != 0 OR retried_calls != 0 OR streaming_calls != 0 OR duration_us != 0 OR duration_calls != 0 OR arrayExists(n -> n != 0, mapValues(duration_buckets)) OR ttft_us != 0 OR ttft_calls != 0 OR arrayExists(n -> n != 0, mapValues(ttft_buckets)) OR overhead_us != 0 OR overhead_calls != 0 OR arrayExists(n -> n != 0, mapValues(overhead_buckets))
SETTINGS insert_deduplicate = 0, max_bytes_before_external_group_by = 1000000000
