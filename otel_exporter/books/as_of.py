"""The calls as they stood at a moment.

What stood then either stands now, or was taken back since. Merges may have deleted an entry together with its reversal,
but every reversal stays in `genai_reversals` and says when its entry was posted (`entered_at`; for reversals from
before that was recorded: the call's end). A call that was reversed after the moment stood as its first reversal since
says; any other stands as it did, if it was posted by then.
"""

from __future__ import annotations

from typing import Final

from processors.contract import CALL_COLUMNS

_MOMENT: Final = "parseDateTime64BestEffort({as_of:String}, 3, 'UTC')"
_COLUMNS: Final = ", ".join(CALL_COLUMNS)
#: The calls, with the columns of `genai_calls`, as they stood at the parameter ``as_of`` (ISO 8601).
CALLS_AS_OF: Final = f"""(
SELECT {_COLUMNS} FROM genai_ledger FINAL
WHERE sign = 1 AND posted_at <= {_MOMENT}
    AND (tenant, call_key) NOT IN (SELECT tenant, call_key FROM genai_reversals WHERE posted_at > {_MOMENT})
UNION ALL
SELECT {_COLUMNS} FROM (
    SELECT * FROM genai_reversals WHERE posted_at > {_MOMENT} ORDER BY posted_at LIMIT 1 BY tenant, call_key
)
WHERE ifNull(entered_at, least(posted_at, toDateTime64(ended_at, 3, 'UTC'))) <= {_MOMENT}
)"""
