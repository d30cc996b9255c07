-- why: as in the ledger; the view that fills this table copies every column by its name.
-- rewrites data: no
ALTER TABLE otel.genai_reversals ADD COLUMN IF NOT EXISTS entered_at Nullable(DateTime64(3, 'UTC')) AFTER posted_at
