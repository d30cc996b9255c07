-- why: what counters say grew, whatever became of the spans: SELECT * FROM otel.genai_counted(since = '...', until =
-- '...'). One row is the growth of one series between two of its points: counters of calls, tokens and money in the
-- tables of metrics (cumulative or delta, sums and histograms), and the numbers that Tokentide's callback in LiteLLM
-- gives its records. A cumulative series begins anew with its StartTimeUnix, and where its value falls; its first point
-- counts whole when it is known to have begun at most a day before since, else it tells nothing (a series whose start
-- is its first point says that nobody knows). grown_at is the middle of the time in which it grew.
-- rewrites data: no
CREATE VIEW IF NOT EXISTS otel.genai_counted AS
WITH
    toDateTime64({since:DateTime('UTC')}, 9, 'UTC') - INTERVAL 1 DAY AS looked_from,
    ['invoke_agent', 'create_agent', 'invoke_workflow', 'execute_tool'] AS no_calls
SELECT 'metrics' AS counted_by, service, scope, model, measure, grown_at, growth
FROM (
    SELECT
        service, scope, model, measure,
        multiIf(
            temporality = 1, if(before_at = at, 0, value),
            before_at > epoch, if(value < before, value, value - before),
            began >= looked_from AND began < at, value,
            0
        ) AS growth,
        multiIf(
            temporality = 1, if(began > epoch AND began < at, began, at),
            before_at > epoch, before_at,
            greatest(began, at - INTERVAL 1 MINUTE)
        ) AS grown_since,
        toDateTime(grown_since + toIntervalNanosecond(intDiv(greatest(dateDiff('nanosecond', grown_since, at), 0), 2)), 'UTC') AS grown_at
    FROM (
        SELECT
            service, scope, model, measure, temporality, began, at, value, toDateTime64(0, 9, 'UTC') AS epoch,
            lagInFrame(value, 1, 0.) OVER series AS before, lagInFrame(at, 1, epoch) OVER series AS before_at
        FROM (
            SELECT
                toString(ServiceName) AS service, ScopeName AS scope, AggregationTemporality AS temporality,
                cityHash64(ServiceName, MetricName, ScopeName, mapSort(ResourceAttributes), mapSort(Attributes),
                    temporality, StartTimeUnix) AS identity,
                toDateTime64(StartTimeUnix, 9, 'UTC') AS began, toDateTime64(TimeUnix, 9, 'UTC') AS at,
                coalesce(nullIf(Attributes['gen_ai.response.model'], ''), nullIf(Attributes['gen_ai.request.model'], ''),
                    Attributes['model']) AS model,
                coalesce(nullIf(Attributes['gen_ai.token.type'], ''), nullIf(Attributes['token_type'], ''),
                    Attributes['type']) AS token_type,
                multiIf(
                    MetricName = 'gen_ai.client.operation.duration', if(Attributes['error.type'] = '', 'calls', 'failed_calls'),
                    MetricName = 'codex.api_request', if(Attributes['success'] = 'true', 'calls', 'failed_calls'),
                    MetricName IN ('gen_ai.usage.cost', 'claude_code.cost.usage'), 'cost_usd',
                    token_type IN ('output', 'completion'), 'output_tokens',
                    token_type IN ('input', 'prompt'), 'input_tokens',
                    MetricName = 'claude_code.token.usage' AND token_type IN ('cacheRead', 'cacheCreation'), 'input_tokens',
                    ''
                ) AS measure,
                if(MetricName = 'gen_ai.client.operation.duration', toFloat64(Count), Sum) AS value
            FROM (
                SELECT ServiceName, MetricName, ScopeName, ResourceAttributes, Attributes, StartTimeUnix, TimeUnix, AggregationTemporality, Count, Sum
                FROM otel.otel_metrics_histogram
                WHERE MetricName IN ('gen_ai.client.operation.duration', 'gen_ai.client.token.usage', 'gen_ai.usage.cost',
                    'claude_code.token.usage', 'claude_code.cost.usage', 'codex.turn.token_usage', 'codex.api_request')
                    AND TimeUnix >= looked_from AND TimeUnix < {until:DateTime('UTC')} + INTERVAL 1 HOUR
                UNION ALL
                SELECT ServiceName, MetricName, ScopeName, ResourceAttributes, Attributes, StartTimeUnix, TimeUnix, AggregationTemporality, Count, Sum
                FROM otel.otel_metrics_exponential_histogram
                WHERE MetricName IN ('gen_ai.client.operation.duration', 'gen_ai.client.token.usage', 'gen_ai.usage.cost',
                    'claude_code.token.usage', 'claude_code.cost.usage', 'codex.turn.token_usage', 'codex.api_request')
                    AND TimeUnix >= looked_from AND TimeUnix < {until:DateTime('UTC')} + INTERVAL 1 HOUR
                UNION ALL
                SELECT ServiceName, MetricName, ScopeName, ResourceAttributes, Attributes, StartTimeUnix, TimeUnix, AggregationTemporality, toUInt64(0) AS Count, Value AS Sum
                FROM otel.otel_metrics_sum
                WHERE MetricName IN ('gen_ai.client.operation.duration', 'gen_ai.client.token.usage', 'gen_ai.usage.cost',
                    'claude_code.token.usage', 'claude_code.cost.usage', 'codex.turn.token_usage', 'codex.api_request')
                    AND MetricName != 'gen_ai.client.operation.duration'
                    AND TimeUnix >= looked_from AND TimeUnix < {until:DateTime('UTC')} + INTERVAL 1 HOUR
            ) AS point
            WHERE measure != '' AND temporality IN (1, 2) AND value BETWEEN 0 AND 1e15
                AND NOT has(no_calls, Attributes['gen_ai.operation.name'])
        )
        WINDOW series AS (PARTITION BY identity, measure ORDER BY at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
    )
)
WHERE growth > 0 AND grown_at >= {since:DateTime('UTC')} AND grown_at < {until:DateTime('UTC')}
UNION ALL
SELECT 'callback' AS counted_by, service, '' AS scope, '' AS model, 'attempts' AS measure, hour AS grown_at, growth
FROM (
    SELECT
        service, hour,
        toFloat64(max(top) OVER upto) - greatest(
            toFloat64(max(top) OVER earlier), if(min(low) OVER ever = none, 0, toFloat64(min(low) OVER ever) - 1)
        ) AS growth
    FROM (
        SELECT service, instance, hour, none, min(if(number = 0, none, number)) AS low, max(greatest(number, seen)) AS top
        FROM (
            SELECT
                toString(ServiceName) AS service, LogAttributes['litellm.callback.instance'] AS instance,
                toDateTime(toStartOfHour(toDateTime(Timestamp, 'UTC')), 'UTC') AS hour, toUInt64(-1) AS none,
                toUInt64OrZero(LogAttributes['litellm.callback.sequence']) AS number,
                toUInt64OrZero(LogAttributes['litellm.callback.seen']) AS seen
            FROM otel.otel_logs
            WHERE Timestamp >= looked_from AND Timestamp < {until:DateTime('UTC')}
                AND mapContains(LogAttributes, 'litellm.callback.instance')
        )
        GROUP BY service, instance, hour, none
    )
    WINDOW
        ever AS (PARTITION BY service, instance),
        upto AS (PARTITION BY service, instance ORDER BY hour ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
        earlier AS (PARTITION BY service, instance ORDER BY hour ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
WHERE growth > 0 AND grown_at >= toStartOfHour({since:DateTime('UTC')})
