"""The SQL about people: who said what, what is held on a member, forgetting. `postgres_people.py` runs it.

What goes through every table reads the catalog for its tables and columns, so that a table of a later day is covered,
too.
"""

# ruff: noqa: S608 - the parts put together here are constants of this file and names from the catalog, quoted by it

from piyasad.store.people import FORGOTTEN_SECONDS
from piyasad.store.sql import ROW

_SAYING = """SELECT s.message_id, s.bot_id, coalesce(b.name, '') AS bot, coalesce(b.username, '') AS username,
    s.chat_id, s.telegram_message_id AS telegram_id, extract(epoch FROM s.sent_at)::float8 AS at, s.hash
FROM said s LEFT JOIN bot b ON b.id = s.bot_id"""

SAYINGS = f"{_SAYING} WHERE s.hash = $1 ORDER BY s.sent_at DESC, s.message_id DESC LIMIT $2"

SAYING_AT = f"{_SAYING} WHERE s.chat_id = $1 AND s.telegram_message_id = $2 ORDER BY s.message_id DESC LIMIT 1"

SAYING = f"{_SAYING} WHERE s.message_id = $1"

MESSAGE_AT = f"""
SELECT {ROW} FROM message m WHERE m.chat_id = $1 AND m.telegram_message_id = $2 ORDER BY m.created_at DESC LIMIT 1
"""

EVIDENCE = f"""
SELECT {ROW}, m.state, m.reason, extract(epoch FROM m.created_at)::float8 AS claimed_at,
    extract(epoch FROM m.sent_at)::float8 AS sent_at, m.handle, m.turn_id
FROM message m WHERE m.id = $1
"""

# A turn's trace bears the time of the turn's beginning, which is before the claim of what it wrote.
TURN = """
SELECT id, bot_id, chat_id, extract(epoch FROM created_at)::float8 AS at, intent, outcome, detail::text AS detail
FROM turn
WHERE id = $1 AND created_at BETWEEN to_timestamp($2) - interval '1 hour' AND to_timestamp($2) + interval '1 hour'
LIMIT 1
"""

NOTICE_BEFORE = f"""
SELECT {ROW} FROM message m
WHERE m.chat_id = $1 AND m.kind = 'notice' AND m.state = 'sent' AND m.sent_at <= to_timestamp($2)
ORDER BY m.sent_at DESC LIMIT 1
"""

PEOPLE_IN = """
SELECT user_id, author, handle FROM message WHERE chat_id = $1 AND user_id IS NOT NULL
GROUP BY user_id, author, handle ORDER BY min(created_at), user_id
"""

MEMBERS = """
SELECT user_id FROM message WHERE handle <> '' AND lower(handle) = lower($1) AND user_id IS NOT NULL
GROUP BY user_id ORDER BY max(created_at) DESC
"""

HELD = """
SELECT count(*) AS messages, extract(epoch FROM min(created_at))::float8 AS first,
    extract(epoch FROM max(created_at))::float8 AS last,
    (SELECT count(*) FROM stimulus WHERE user_id = $1) AS stimuli,
    EXISTS (SELECT FROM opt_out WHERE hash = member_hash($1)) AS opted_out
FROM message WHERE user_id = $1
"""

HELD_NAMES = """
SELECT author, handle FROM message WHERE user_id = $1 GROUP BY author, handle ORDER BY max(created_at) DESC
"""

HELD_NEWEST = f"SELECT {ROW} FROM message m WHERE m.user_id = $1 ORDER BY m.created_at DESC, m.id DESC LIMIT $2"

HELD_MEMORIES = "SELECT text FROM memory WHERE user_id = $1 ORDER BY created_at DESC, id DESC"

THEIR_LINES = """
SELECT id, chat_id, telegram_message_id, author, handle, text, extract(epoch FROM created_at)::float8 AS at
FROM message WHERE user_id = $1
"""

OPT_OUT = "INSERT INTO opt_out (hash, at) VALUES (member_hash($1), clock_timestamp()) ON CONFLICT DO NOTHING"

OPT_IN = "DELETE FROM opt_out WHERE hash = member_hash($1)"

IS_OPTED_OUT = "SELECT EXISTS (SELECT FROM opt_out WHERE hash = member_hash($1))"

FORGOTTEN = f"""
SELECT id FROM unnest($1::bigint[]) AS n(id) JOIN forgotten f ON f.hash = member_hash(id)
WHERE f.at >= to_timestamp($2) AND f.at > clock_timestamp() - make_interval(secs => {FORGOTTEN_SECONDS})
"""

NOTE_FORGOTTEN = """
INSERT INTO forgotten (hash, at) VALUES (member_hash($1), clock_timestamp())
ON CONFLICT (hash) DO UPDATE SET at = excluded.at
"""

FORGET_FORGOTTEN = f"DELETE FROM forgotten WHERE at < clock_timestamp() - make_interval(secs => {FORGOTTEN_SECONDS})"

# --- every table

# The tables that hold rows, partitions one by one: the table's name, the part's, the columns that hold texts or JSON
# and are no part of a key (with their types), and all columns. Names are quoted.
PARTS = """
SELECT quote_ident(coalesce(p.relname, c.relname)) AS table, c.oid::regclass::text AS part,
    coalesce(array_agg(quote_ident(a.attname) ORDER BY a.attnum) FILTER (WHERE t.texts), '{}') AS columns,
    coalesce(array_agg(format_type(a.atttypid, NULL) ORDER BY a.attnum) FILTER (WHERE t.texts), '{}') AS types,
    array_agg(a.attname::text ORDER BY a.attnum) AS all
FROM pg_class c
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
LEFT JOIN pg_class p ON p.oid = i.inhparent
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
CROSS JOIN LATERAL (
    SELECT a.attgenerated = ''
        AND format_type(a.atttypid, NULL) IN ('text', 'character varying', 'json', 'jsonb', 'text[]')
        AND NOT EXISTS (
            SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary AND a.attnum = ANY (x.indkey)) AS texts
) AS t
WHERE c.relkind = 'r'
    AND coalesce(p.relnamespace, c.relnamespace) = (SELECT relnamespace FROM pg_class WHERE oid = 'message'::regclass)
GROUP BY 1, c.oid ORDER BY 1, 2
"""
