-- why: expected against seen, by UTC hour: SELECT * FROM otel.genai_completeness(since = '...', until = '...').
-- expected is what counters beside the spans say (genai_counted), or what an import of a gateway's books brought; seen
-- is what the standing calls of the ledger add up to that this service itself reported, by the hour in which they ended.
-- missing is signed, so that hours add up: what was counted in one hour and seen in the next cancels out. A service is
-- compared from the first to the last hour in which its counters grew (an export may be two minutes late); the hour of
-- since is whole. Several instrumentations of one service count the same calls: the one that counted most is believed.
-- tenant is '' where no call tells it, or calls of several tenants do: metrics have none.
-- rewrites data: no
CREATE VIEW IF NOT EXISTS otel.genai_completeness AS
WITH
    toDateTime64(toStartOfHour({since:DateTime('UTC')}), 9, 'UTC') AS first_hour,
    {until:DateTime('UTC')} AS ends_at,
    x -> toDecimal128OrZero(toString(round(x, 12)), 12) AS exact
SELECT
    hour, counted_by, if(length(tenants) = 1, tenants[1], '') AS tenant, source, model, measure,
    sum(expected_part) AS expected, sum(seen_part) AS seen, expected - seen AS missing,
    if(expected = 0, NULL, toFloat64(seen) / toFloat64(expected)) AS ratio
FROM (
    SELECT
        hour, counted_by, source, measure, expected_part, seen_part, is_counted,
        groupUniqArrayArray(tenant_part) OVER whole AS tenants,
        groupUniqArrayIf(models[1], is_counted) OVER whole AS counted_models,
        toStartOfHour(minIf(first_at, is_counted) OVER whole - INTERVAL 2 MINUTE) AS first_counted,
        toStartOfHour(maxIf(last_at, is_counted) OVER whole + INTERVAL 2 MINUTE) AS last_counted,
        max(is_counted) OVER whole AS is_comparable,
        arrayFirst(name -> has(counted_models, name), models) AS counted_model,
        if(is_counted OR counted_model != '', counted_model, if(has(counted_models, ''), '', models[-1])) AS model
    FROM (
        SELECT
            toDateTime(toStartOfHour(grown_at), 'UTC') AS hour, counted_by, service AS source, measure,
            min(first_grown) AS first_at, max(last_grown) AS last_at,
            max(growth_by_scope) AS growth, exact(growth) AS expected_part, toDecimal128(0, 12) AS seen_part,
            1 AS is_counted, CAST([], 'Array(String)') AS tenant_part, [model] AS models
        FROM (
            SELECT
                toStartOfHour(counted.grown_at) AS grown_at, counted_by, service, scope, model, measure,
                min(counted.grown_at) AS first_grown, max(counted.grown_at) AS last_grown, sum(growth) AS growth_by_scope
            FROM otel.genai_counted(since = toStartOfHour({since:DateTime('UTC')}), until = {until:DateTime('UTC')}) AS counted
            GROUP BY toStartOfHour(counted.grown_at), counted_by, service, scope, model, measure
        )
        GROUP BY hour, counted_by, source, measure, model
        UNION ALL
        SELECT
            hour, of.1 AS counted_by, source, of.2 AS measure, hour + INTERVAL 30 MINUTE AS first_at, first_at AS last_at,
            0 AS growth, of.3 AS expected_part, of.4 AS seen_part,
            of.1 = 'spend logs' AND of.4 != 0 AS is_counted, [tenant] AS tenant_part,
            if(of.1 = 'callback', [''], arrayFilter(name -> name != '', [response_model, asked_model, priced_model])) AS models
        FROM (
            SELECT
                toDateTime(toStartOfHour(toDateTime(entry.ended_at, 'UTC')), 'UTC') AS hour, toString(entry.tenant) AS tenant,
                reporter.1 AS source, toString(entry.response_model) AS response_model,
                toString(entry.requested_model) AS asked_model, toString(entry.model) AS priced_model,
                toDecimal128(sumIf(entry.sign, entry.status = 'ok'), 12) AS calls,
                toDecimal128(sumIf(entry.sign, entry.status = 'error'), 12) AS failed_calls,
                toDecimal128(sum(ifNull(toInt64(entry.input_tokens), 0) * entry.sign), 12) AS input_tokens,
                toDecimal128(sum(ifNull(toInt64(entry.output_tokens), 0) * entry.sign), 12) AS output_tokens,
                sum(ifNull(coalesce(entry.cost_reported_usd, entry.cost_usd), 0) * entry.sign) AS cost_usd,
                toDecimal128(sumIf(entry.sign, reporter.2), 12) AS attempts,
                has(entry.sources, 'litellm.spend_log') AND source = 'litellm (imported)' AS is_booked,
                is_booked AND length(entry.sources) > 1 AS is_both
            FROM otel.genai_ledger AS entry
            ARRAY JOIN arrayMap(
                name -> (name, arrayExists(said -> said['application'] = name AND said['source'] = 'litellm.callback', entry.said)),
                arrayDistinct(arrayMap(said -> said['application'], entry.said))
            ) AS reporter
            WHERE entry.started_at >= first_hour - INTERVAL 1 HOUR AND entry.started_at < ends_at
                AND entry.ended_at >= first_hour AND entry.ended_at < ends_at
            GROUP BY hour, tenant, source, response_model, asked_model, priced_model, is_booked, is_both
        )
        ARRAY JOIN if(
            is_booked,
            arrayMap(
                one -> ('spend logs', one.1, one.2, if(is_both, one.2, toDecimal128(0, 12))),
                [('calls', calls), ('failed_calls', failed_calls), ('input_tokens', input_tokens), ('output_tokens', output_tokens), ('cost_usd', cost_usd)]
            ),
            arrayMap(
                one -> (if(one.1 = 'attempts', 'callback', 'metrics'), one.1, toDecimal128(0, 12), one.2),
                [('calls', calls), ('failed_calls', failed_calls), ('input_tokens', input_tokens), ('output_tokens', output_tokens), ('cost_usd', cost_usd), ('attempts', attempts)]
            )
        ) AS of
        WHERE of.3 != 0 OR of.4 != 0
    )
    WINDOW whole AS (PARTITION BY counted_by, source, measure)
)
WHERE is_comparable AND hour BETWEEN first_counted AND last_counted
GROUP BY hour, counted_by, tenant, source, model, measure
HAVING expected != 0 OR seen != 0
