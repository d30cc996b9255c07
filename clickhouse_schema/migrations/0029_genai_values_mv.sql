-- why: fills genai_values_counted from every insert into genai_rollup_day.
-- rewrites data: no
CREATE MATERIALIZED VIEW IF NOT EXISTS otel.genai_values_mv TO otel.genai_values_counted AS
SELECT
    toDate(row.bucket, 'UTC') AS day, row.tenant AS tenant, said.1 AS key, said.2 AS value, sum(row.calls) AS calls
FROM otel.genai_rollup_day AS row
ARRAY JOIN [('tenant', toString(row.tenant)), ('organization', toString(row.organization)), ('team', toString(row.team)), ('project', toString(row.project)), ('cost_center', toString(row.cost_center)), ('application', toString(row.application)), ('environment', toString(row.environment)), ('agent', toString(row.agent)), ('user_id', toString(row.user_id)), ('api_key_alias', toString(row.api_key_alias)), ('provider', toString(row.provider)), ('model', toString(row.model)), ('requested_model', toString(row.requested_model)), ('deployment_id', toString(row.deployment_id))] AS said
WHERE said.2 != ''
GROUP BY day, tenant, key, value
