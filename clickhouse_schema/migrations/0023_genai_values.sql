-- why: values that still have calls: FINAL folds away what was reversed, and the table is small.
-- rewrites data: no
CREATE VIEW IF NOT EXISTS otel.genai_values AS
SELECT day, tenant, key, value, calls FROM otel.genai_values_counted FINAL WHERE calls != 0
