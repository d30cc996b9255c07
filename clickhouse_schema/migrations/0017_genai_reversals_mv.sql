-- why: fills genai_reversals from every insert into genai_ledger.
-- rewrites data: no
CREATE MATERIALIZED VIEW IF NOT EXISTS otel.genai_reversals_mv TO otel.genai_reversals AS
SELECT * EXCEPT (handles, said, sign)
FROM otel.genai_ledger
WHERE sign = -1
