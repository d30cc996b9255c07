-- why: fills genai_rollup_end_user from every insert into genai_ledger.
-- rewrites data: no
CREATE MATERIALIZED VIEW IF NOT EXISTS otel.genai_rollup_end_user_mv TO otel.genai_rollup_end_user AS
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
    entry.end_user AS end_user,
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
WHERE entry.end_user != ''
GROUP BY bucket, tenant, team, application, provider, model, requested_model, end_user
