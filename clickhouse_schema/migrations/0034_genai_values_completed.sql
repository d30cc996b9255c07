-- why: fills genai_values_counted with what genai_rollup_day held before; adds the difference, as for the rollups.
-- rewrites data: no
INSERT INTO otel.genai_values_counted (day, tenant, key, value, calls)
SELECT day, tenant, key, value, missing FROM (
SELECT day, tenant, key, value, sum(part.calls) AS missing FROM (
SELECT
    toDate(row.bucket, 'UTC') AS day, row.tenant AS tenant, said.1 AS key, said.2 AS value, sum(row.calls) AS calls
FROM otel.genai_rollup_day AS row
ARRAY JOIN [('tenant', toString(row.tenant)), ('organization', toString(row.organization)), ('team', toString(row.team)), ('project', toString(row.project)), ('cost_center', toString(row.cost_center)), ('application', toString(row.application)), ('environment', toString(row.environment)), ('agent', toString(row.agent)), ('user_id', toString(row.user_id)), ('api_key_alias', toString(row.api_key_alias)), ('provider', toString(row.provider)), ('model', toString(row.model)), ('requested_model', toString(row.requested_model)), ('deployment_id', toString(row.deployment_id))] AS said
WHERE said.2 != ''
GROUP BY day, tenant, key, value
UNION ALL
SELECT day, tenant, key, value, -calls AS calls FROM otel.genai_values_counted
) AS part GROUP BY day, tenant, key, value
)
WHERE missing != 0
SETTINGS insert_deduplicate = 0
