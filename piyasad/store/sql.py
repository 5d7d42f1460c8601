"""Every SQL statement of the store, named. `postgres.py` and `writer.py` run them; nobody else speaks SQL.

Times cross the border as Unix seconds (float8), which keep PostgreSQL's microseconds exactly; parameters are numbered.
Whether a lease runs is decided by this server's clock_timestamp(), never by a daemon's.
"""

# ruff: noqa: S608 - the parts put together here are constants of this file

from piyasad.store.interface import (
    ANSWERS_DAY,
    ANSWERS_SHORT,
    LATE_SECONDS,
    NOTICE_AGAIN_SECONDS,
    NOTICE_SECONDS,
    SHORT_SECONDS,
    TRIES_MOST,
    WITNESS_AFTER_SECONDS,
    WITNESS_BEFORE_SECONDS,
)

ROW = """m.id, m.chat_id, m.bot_id, m.author, m.kind, m.text,
    extract(epoch FROM coalesce(m.sent_at, m.created_at))::float8 AS at,
    m.telegram_message_id, m.user_id, m.reply_to, m.thread_id"""

_ALIVE = "EXISTS (SELECT FROM daemon d WHERE d.id = b.owner AND d.expiry > clock_timestamp())"

# What follows when rows of the ledger end, in the statement that ends them. It needs a part `ended` with the columns
# `_ENDED` of those rows.
_ENDED = """m.id, m.chat_id, m.kind, m.state, m.telegram_message_id, m.bot_id, m.said_hash, m.sent_at,
    m.stimulus_chat_id, m.stimulus_telegram_id, m.stimulus_slot"""

_THEN = f"""
answered AS (
    UPDATE stimulus s SET state = CASE e.state WHEN 'failed' THEN 'open' ELSE 'answered' END, reason = '',
        answer_id = CASE e.state WHEN 'failed' THEN NULL ELSE s.answer_id END
    FROM ended e
    WHERE s.chat_id = e.stimulus_chat_id AND s.telegram_id = e.stimulus_telegram_id AND s.slot = e.stimulus_slot
        AND s.answer_id = e.id
), posted AS (
    INSERT INTO chat (id, notice_message_id)
    SELECT DISTINCT ON (chat_id) chat_id, telegram_message_id FROM ended
    WHERE kind = 'notice' AND state = 'sent' ORDER BY chat_id, id DESC
    ON CONFLICT (id) DO UPDATE SET notice_message_id = excluded.notice_message_id
), unposted AS (
    UPDATE chat c SET notice_at = CASE WHEN c.notice_message_id IS NOT NULL
        THEN c.notice_older + make_interval(secs => {NOTICE_AGAIN_SECONDS}) END
    FROM ended e WHERE c.id = e.chat_id AND e.kind = 'notice' AND e.state = 'failed'
), kept AS (
    INSERT INTO said (message_id, hash, bot_id, chat_id, telegram_message_id, sent_at)
    SELECT id, said_hash, bot_id, chat_id, telegram_message_id, sent_at FROM ended
    WHERE state = 'sent' AND said_hash IS NOT NULL ON CONFLICT DO NOTHING
)"""

# --- daemons and leases

ENTER = """
INSERT INTO daemon (id, shard, shards, host, pid, config_hash, beat, expiry, drain)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp(), clock_timestamp() + make_interval(secs => $7), '')
ON CONFLICT (id) DO UPDATE SET beat = excluded.beat, expiry = excluded.expiry, config_hash = excluded.config_hash
"""

BEAT = """
UPDATE daemon SET beat = clock_timestamp(), expiry = clock_timestamp() + make_interval(secs => $2)
WHERE id = $1 AND expiry > clock_timestamp() RETURNING true
"""

REPORT = "UPDATE daemon SET report = $2::text::jsonb WHERE id = $1"

LEAVE = """
WITH freed AS (
    UPDATE bot SET owner = NULL WHERE id IN (SELECT id FROM bot WHERE owner = $1 ORDER BY id FOR UPDATE)
)
UPDATE daemon SET expiry = least(expiry, clock_timestamp()), drain = $2 WHERE id = $1
"""

FREE_IN = """
SELECT min(CASE WHEN d.id IS NULL THEN 0 ELSE greatest(0, extract(epoch FROM d.expiry - clock_timestamp())) END)::float8
FROM bot b LEFT JOIN daemon d ON d.id = b.owner
WHERE b.id = ANY ($1::bigint[]) AND b.owner IS NOT NULL AND b.owner IS DISTINCT FROM $2
"""

EXPIRE_OTHERS = "UPDATE daemon SET expiry = clock_timestamp() WHERE id <> $1 AND expiry > clock_timestamp()"

# take: in this order in one transaction. The candidates' dead owners are locked first, so that a beat under way is
# either seen or comes too late; then the bots in the order of their ids, so that daemons starting together queue up.
# What was locked decides from there on: an owner that dies in the middle is left to the next take.
TAKE_KNOWN = """
INSERT INTO bot (id, name, username)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[]) AS n(id, name, username) ORDER BY id
ON CONFLICT (id) DO NOTHING
"""

TAKE_LOCK_OWNERS = """
SELECT id FROM daemon WHERE expiry <= clock_timestamp() AND id IN (SELECT owner FROM bot WHERE id = ANY ($1::bigint[]))
ORDER BY id FOR UPDATE
"""

_UNOWNED = "(b.owner IS NULL OR b.owner = ANY ($1::text[]) OR NOT EXISTS (SELECT FROM daemon d WHERE d.id = b.owner))"

TAKE_LOCK_BOTS = f"""
SELECT id FROM bot b WHERE id = ANY ($2::bigint[]) AND {_UNOWNED} ORDER BY id FOR UPDATE
"""

TAKE = f"""
UPDATE bot b SET owner = $2, fence = b.fence + 1, name = n.name, username = n.username
FROM unnest($3::bigint[], $4::text[], $5::text[]) AS n(id, name, username)
WHERE b.id = n.id AND b.id = ANY ($6::bigint[]) AND {_UNOWNED}
RETURNING b.id, b.fence, b.update_offset, b.state, extract(epoch FROM b.disclosed_at)::float8 AS disclosed_at
"""

TAKE_UNCERTAIN = f"""
WITH ended AS (
    UPDATE message m SET state = 'uncertain', reason = 'the daemon that was sending it is gone'
    WHERE m.bot_id = ANY ($1::bigint[]) AND m.state = 'sending'
    RETURNING {_ENDED}
), {_THEN}
SELECT count(*) FROM ended
"""

FREE = """
UPDATE bot SET owner = NULL
WHERE id IN (SELECT id FROM bot WHERE owner = $1 AND id = ANY ($2::bigint[]) ORDER BY id FOR UPDATE)
"""

BOTS = f"""
SELECT b.id, b.name, b.username, b.owner, {_ALIVE} AS alive, b.fence, b.state, b.state_reason FROM bot b ORDER BY b.id
"""

DAEMONS = """
SELECT id, shard, shards, host, pid, config_hash, extract(epoch FROM beat)::float8 AS beat,
    expiry > clock_timestamp() AS alive, drain, report
FROM daemon WHERE beat > clock_timestamp() - interval '1 day' ORDER BY beat DESC, id
"""

SET_BOT_STATE = "UPDATE bot SET state = $2, state_reason = $3 WHERE id = $1"

SET_DISCLOSED = "UPDATE bot SET disclosed_at = to_timestamp($2) WHERE id = $1"

SET_OFFSET = "UPDATE bot SET update_offset = $3 WHERE id = $1 AND fence = $2"

# --- chats

CHATS = """
SELECT id, ear, extract(epoch FROM notice_at)::float8 AS notice_at, notice_message_id FROM chat ORDER BY id
"""

ENSURE_CHATS = """
INSERT INTO chat (id) SELECT id FROM unnest($1::bigint[]) AS n(id) ORDER BY id ON CONFLICT (id) DO NOTHING
"""

SET_EAR = "UPDATE chat SET ear = $3 WHERE id = $1 AND ear IS NOT DISTINCT FROM $2 RETURNING true"

CLAIM_NOTICE = f"""
UPDATE chat SET notice_at = to_timestamp($2), notice_older = to_timestamp($3)
WHERE id = $1 AND (notice_at IS NULL OR notice_at < to_timestamp($3)
    OR notice_message_id IS NULL AND notice_at < to_timestamp($2) - make_interval(secs => {NOTICE_SECONDS}))
RETURNING true
"""

REKEY_CHAT = """
WITH old AS (DELETE FROM chat WHERE id = $1 RETURNING ear, notice_at, notice_older, notice_message_id)
INSERT INTO chat (id, ear, notice_at, notice_older, notice_message_id)
SELECT $2, ear, notice_at, notice_older, notice_message_id FROM old
ON CONFLICT (id) DO UPDATE SET ear = coalesce(chat.ear, excluded.ear),
    notice_at = greatest(chat.notice_at, excluded.notice_at),
    notice_older = CASE WHEN chat.notice_at >= excluded.notice_at OR excluded.notice_at IS NULL
        THEN chat.notice_older ELSE excluded.notice_older END,
    notice_message_id = coalesce(chat.notice_message_id, excluded.notice_message_id)
"""

# --- the ledger

# What a member's budget gives for the stimulus `s`; the function is in the migrations.
_GRANT = f"""member_grant(s.user_id, s.chat_id, s.telegram_id, s.slot,
    {ANSWERS_SHORT}, {SHORT_SECONDS}, {ANSWERS_DAY})"""

# One statement, so one round trip and one flush to disk for claims and settlements together. Locking the bots' rows
# makes the fence's check hold until the commit: a takeover waits for it, then sees the claim and marks it. A stimulus
# is updated by the claim that answers it; who finds it changed by then has no row.
GROUP = f"""
WITH wanted AS MATERIALIZED (
    SELECT nextval('message_id_seq') AS id, clock_timestamp() AS created_at, c.*
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[],
        $8::bigint[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::boolean[], $22::bytea[])
        WITH ORDINALITY AS c(bot_id, fence, chat_id, kind, text, author, reply_to, thread_id, turn_id,
            stimulus_chat_id, stimulus_telegram_id, stimulus_slot, restated, said_hash, n)
    JOIN bot b ON b.id = c.bot_id AND b.fence = c.fence AND b.owner IS NOT NULL
    ORDER BY b.id, c.n FOR SHARE OF b
), taken AS (
    UPDATE stimulus s SET state = 'taken', reason = '', answer_id = w.id
    FROM wanted w
    WHERE s.chat_id = w.stimulus_chat_id AND s.telegram_id = w.stimulus_telegram_id AND s.slot = w.stimulus_slot
        AND s.answer_id IS NULL AND s.taken_by = w.bot_id AND s.taken_fence = w.fence
        AND (s.state = 'taken' OR s.state = 'open' AND (s.granted IS NULL OR s.granted = {_GRANT}))
    RETURNING w.id
), claimed AS MATERIALIZED (
    SELECT * FROM wanted w WHERE w.stimulus_slot IS NULL OR w.id IN (SELECT id FROM taken)
), inserted AS (
    INSERT INTO message (id, created_at, bot_id, fence, chat_id, kind, text, author, reply_to, thread_id, turn_id,
        stimulus_chat_id, stimulus_telegram_id, stimulus_slot, restated, said_hash, state)
    SELECT id, created_at, bot_id, fence, chat_id, kind, text, author, reply_to, thread_id, turn_id,
        stimulus_chat_id, stimulus_telegram_id, stimulus_slot, restated, said_hash, 'sending'
    FROM claimed
), ended AS (
    UPDATE message m SET state = s.state, reason = s.reason,
        telegram_message_id = coalesce(s.telegram_id, m.telegram_message_id),
        sent_at = CASE WHEN s.state = 'sent' THEN coalesce(to_timestamp(s.at), clock_timestamp()) END,
        seen_at = CASE WHEN s.state = 'sent' THEN clock_timestamp() END
    FROM unnest($14::bigint[], $15::float8[], $16::text[], $17::bigint[], $18::float8[], $19::text[])
        AS s(id, created_at, state, telegram_id, at, reason)
    WHERE m.id = s.id AND m.created_at = to_timestamp(s.created_at) AND m.state IN ('sending', 'uncertain')
        AND m.created_at BETWEEN to_timestamp($20) AND to_timestamp($21)
    RETURNING {_ENDED}
), {_THEN}
SELECT n, id, extract(epoch FROM created_at)::float8 AS created_at FROM claimed
"""

# Claims whose commit is unknown because the connection was cut: nobody sent them, so they failed.
ABANDON = f"""
WITH ended AS (
    UPDATE message m SET state = 'failed', reason = 'the claim was lost with its connection; it was not sent'
    FROM unnest($1::bigint[], $2::bigint[]) AS l(bot_id, fence)
    WHERE m.bot_id = l.bot_id AND m.fence = l.fence AND m.state = 'sending' AND m.id <> ALL ($3::bigint[])
    RETURNING {_ENDED}
), {_THEN}
SELECT count(*) FROM ended
"""

RECEIVE = """
WITH stored AS (
    INSERT INTO message (chat_id, telegram_message_id, user_id, author, text, created_at, reply_to, thread_id, handle,
        kind, state, seen_at)
    SELECT chat_id, telegram_id, user_id, author, text, to_timestamp(at), reply_to, thread_id, handle, 'person',
        'received', clock_timestamp()
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::float8[], $7::bigint[],
        $8::bigint[], $12::text[])
        WITH ORDINALITY AS r(chat_id, telegram_id, user_id, author, text, at, reply_to, thread_id, handle, n)
    ORDER BY n
    ON CONFLICT (chat_id, telegram_message_id, created_at) DO NOTHING
    RETURNING id, chat_id, telegram_message_id, user_id
), noted AS (
    INSERT INTO stimulus (chat_id, telegram_id, slot, message_id, user_id, created_at)
    SELECT t.chat_id, t.telegram_id, t.slot, m.id, m.user_id, now.at
    FROM unnest($9::bigint[], $10::bigint[], $11::bigint[]) AS t(chat_id, telegram_id, slot)
    JOIN stored m ON m.chat_id = t.chat_id AND m.telegram_message_id = t.telegram_id
    CROSS JOIN (SELECT clock_timestamp() AS at OFFSET 0) AS now
    ON CONFLICT DO NOTHING
)
SELECT id, chat_id, telegram_message_id FROM stored
"""

EDIT = "UPDATE message SET text = $3 WHERE chat_id = $1 AND telegram_message_id = $2 AND state = 'received'"

WITNESS = f"""
WITH seen AS (
    SELECT id, created_at FROM message
    WHERE bot_id = $1 AND chat_id = $2 AND text = $4 AND reply_to IS NOT DISTINCT FROM $5
        AND state IN ('sending', 'uncertain')
        AND created_at BETWEEN to_timestamp($6) - make_interval(secs => {WITNESS_BEFORE_SECONDS})
            AND to_timestamp($6) + make_interval(secs => {WITNESS_AFTER_SECONDS})
        AND NOT EXISTS (SELECT FROM message k WHERE k.chat_id = $2 AND k.telegram_message_id = $3)
    ORDER BY abs(extract(epoch FROM created_at) - $6::float8), id LIMIT 1 FOR UPDATE
), ended AS (
    UPDATE message m SET state = 'sent', telegram_message_id = $3, sent_at = to_timestamp($6),
        seen_at = clock_timestamp(), reason = 'seen by another bot'
    FROM seen w WHERE m.id = w.id AND m.created_at = w.created_at AND m.state IN ('sending', 'uncertain')
    RETURNING {_ENDED}
), {_THEN}
SELECT id FROM ended
"""

RECENT = f"""
SELECT {ROW} FROM message m WHERE m.chat_id = $1 AND m.state IN ('received', 'sent')
ORDER BY m.created_at DESC, m.id DESC LIMIT $2
"""

TAIL = f"""
SELECT {ROW} FROM message m
WHERE m.seen_at >= to_timestamp($2) AND m.chat_id = ANY ($1::bigint[]) AND m.state IN ('received', 'sent')
    AND m.created_at >= to_timestamp($2) - interval '2 days'
ORDER BY m.seen_at DESC, m.id DESC LIMIT $3
"""

LAST = f"SELECT {ROW} FROM message m WHERE m.seen_at IS NOT NULL ORDER BY m.seen_at DESC, m.id DESC LIMIT $1"

NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"

SAID = f"""
SELECT bot_id, chat_id, kind, text, extract(epoch FROM greatest(created_at, sent_at))::float8 AS at, restated,
    reply_to
FROM message
WHERE bot_id = ANY ($1::bigint[]) AND state IN ('sending', 'sent', 'uncertain')
    AND created_at >= to_timestamp($2) - make_interval(secs => {LATE_SECONDS})
    AND greatest(created_at, sent_at) >= to_timestamp($2)
ORDER BY greatest(created_at, sent_at), id
"""

# --- stimuli

_WAITS = """s.answer_id IS NULL AND (s.state = 'open' OR s.state = 'taken' AND NOT EXISTS (
    SELECT FROM bot b JOIN daemon d ON d.id = b.owner AND d.expiry > clock_timestamp()
    WHERE b.id = s.taken_by AND b.fence = s.taken_fence))"""

MERGE_STIMULI = f"""
UPDATE stimulus s SET state = 'merged', reason = ''
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS k(chat_id, telegram_id, slot)
WHERE s.chat_id = k.chat_id AND s.telegram_id = k.telegram_id AND s.slot = k.slot AND {_WAITS}
"""

# A function of the migrations: its statements must each see what was committed before them.
TAKE_STIMULUS = f"""
SELECT take_stimulus($1, $2, $3, $4, $5, $6, {TRIES_MOST}, {ANSWERS_SHORT}, {SHORT_SECONDS}, {ANSWERS_DAY})
"""

CLOSE_STIMULUS = f"""
UPDATE stimulus s SET state = $4, reason = $5, taken_by = NULL, taken_fence = NULL
WHERE s.chat_id = $1 AND s.telegram_id = $2 AND s.slot = $3 AND s.answer_id IS NULL AND ({_WAITS}
    OR s.state = 'taken' AND EXISTS (
        SELECT FROM bot b WHERE b.id = s.taken_by AND b.fence = s.taken_fence AND b.owner = $6))
"""

ANSWERS = """
SELECT extract(epoch FROM taken_at)::float8 AS at FROM stimulus
WHERE user_id = $1 AND granted = 'answer' AND state IN ('taken', 'answered')
    AND taken_at > clock_timestamp() - interval '1 day'
"""

OPEN_STIMULI = f"""
SELECT s.chat_id AS stimulus_chat_id, s.telegram_id AS stimulus_telegram_id, s.slot, {ROW}
FROM stimulus s JOIN message m ON m.id = s.message_id
WHERE s.created_at >= to_timestamp($3) AND s.state IN ('open', 'taken')
    AND (s.slot <> 0 AND s.slot = ANY ($1::bigint[]) OR s.slot = 0 AND s.chat_id = ANY ($2::bigint[]))
    AND m.created_at >= to_timestamp($3) - interval '2 days' AND {_WAITS}
ORDER BY s.created_at, s.message_id, s.slot
"""

# --- traces and figures

RECORD_TURNS = """
INSERT INTO turn (id, bot_id, chat_id, created_at, intent, outcome, detail)
SELECT id, bot_id, chat_id, to_timestamp(at), intent, outcome, detail::jsonb
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::float8[], $5::text[], $6::text[], $7::text[])
    AS t(id, bot_id, chat_id, at, intent, outcome, detail)
ON CONFLICT DO NOTHING
"""

ADD_USAGE = """
INSERT INTO usage AS u (provider, key, model, "window", requests, prompt, cached, completion, cost)
SELECT provider, key, model, to_timestamp(hour), requests, prompt, cached, completion, cost
FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::float8[]) AS n(provider, key, model, hour, requests, prompt, cached, completion, cost)
ORDER BY provider, key, model, hour
ON CONFLICT (provider, key, model, "window") DO UPDATE SET requests = u.requests + excluded.requests,
    prompt = u.prompt + excluded.prompt, cached = u.cached + excluded.cached,
    completion = u.completion + excluded.completion, cost = u.cost + excluded.cost
"""

USAGE = """
SELECT provider, key, model, extract(epoch FROM "window")::float8 AS at, requests, prompt, cached, completion, cost
FROM usage WHERE "window" >= to_timestamp($1)
ORDER BY "window", provider COLLATE "C", key COLLATE "C", model COLLATE "C"
"""

LEARN = """
INSERT INTO learned AS l (provider, key, model, about, what, at)
SELECT provider, key, model, about, what::jsonb, clock_timestamp()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS n(provider, key, model, about, what)
ORDER BY provider, key, model, about
ON CONFLICT (provider, key, model, about) DO UPDATE SET what = excluded.what, at = excluded.at
"""

LESSONS = """
SELECT provider, key, model, about, what FROM learned WHERE at >= to_timestamp($1)
ORDER BY provider COLLATE "C", key COLLATE "C", model COLLATE "C", about COLLATE "C"
"""

UNCERTAIN = "SELECT count(*) FROM message WHERE state = 'uncertain'"

OUTCOMES = """
SELECT bot_id, intent, outcome, sum(coalesce((detail ->> 'times')::bigint, 1))::bigint AS n
FROM turn WHERE created_at >= to_timestamp($1)
GROUP BY bot_id, intent, outcome ORDER BY bot_id, intent COLLATE "C", outcome COLLATE "C"
"""

COUNTS = "SELECT state, count(*) AS n FROM message WHERE created_at >= to_timestamp($1) GROUP BY state"

FORGET_STIMULI = "DELETE FROM stimulus WHERE created_at < to_timestamp($1)"

FORGET_DAEMONS = "DELETE FROM daemon WHERE expiry < to_timestamp($1)"
