-- The statements of the release that knew the schema up to 0002: they must run on every later one.

-- ENTER
INSERT INTO daemon (id, shard, shards, host, pid, config_hash, beat, expiry, drain)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp(), clock_timestamp() + make_interval(secs => $7), '')
ON CONFLICT (id) DO UPDATE SET beat = excluded.beat, expiry = excluded.expiry, config_hash = excluded.config_hash;

-- BEAT
UPDATE daemon SET beat = clock_timestamp(), expiry = clock_timestamp() + make_interval(secs => $2)
WHERE id = $1 AND expiry > clock_timestamp() RETURNING true;

-- REPORT
UPDATE daemon SET report = $2::text::jsonb WHERE id = $1;

-- LEAVE_BOTS
UPDATE bot SET owner = NULL WHERE id IN (SELECT id FROM bot WHERE owner = $1 ORDER BY id FOR UPDATE);

-- LEAVE
UPDATE daemon SET expiry = least(expiry, clock_timestamp()), drain = $2 WHERE id = $1;

-- EXPIRE_OTHERS
UPDATE daemon SET expiry = clock_timestamp() WHERE id <> $1 AND expiry > clock_timestamp();

-- TAKE_KNOWN
INSERT INTO bot (id, name, username)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[]) AS n(id, name, username) ORDER BY id
ON CONFLICT (id) DO NOTHING;

-- TAKE_LOCK_OWNERS
SELECT id FROM daemon WHERE expiry <= clock_timestamp() AND id IN (SELECT owner FROM bot WHERE id = ANY ($1::bigint[]))
ORDER BY id FOR UPDATE;

-- TAKE_LOCK_BOTS
SELECT id FROM bot b WHERE id = ANY ($2::bigint[]) AND (b.owner IS NULL OR b.owner = ANY ($1::text[]) OR NOT EXISTS (SELECT FROM daemon d WHERE d.id = b.owner)) ORDER BY id FOR UPDATE;

-- TAKE
UPDATE bot b SET owner = $2, fence = b.fence + 1, name = n.name, username = n.username
FROM unnest($3::bigint[], $4::text[], $5::text[]) AS n(id, name, username)
WHERE b.id = n.id AND b.id = ANY ($6::bigint[]) AND (b.owner IS NULL OR b.owner = ANY ($1::text[]) OR NOT EXISTS (SELECT FROM daemon d WHERE d.id = b.owner))
RETURNING b.id, b.fence, b.update_offset, b.state, extract(epoch FROM b.disclosed_at)::float8 AS disclosed_at;

-- TAKE_UNCERTAIN
UPDATE message SET state = 'uncertain', reason = 'the daemon that was sending it is gone'
WHERE bot_id = ANY ($1::bigint[]) AND state = 'sending';

-- FREE
UPDATE bot SET owner = NULL
WHERE id IN (SELECT id FROM bot WHERE owner = $1 AND id = ANY ($2::bigint[]) ORDER BY id FOR UPDATE);

-- BOTS
SELECT b.id, b.name, b.username, b.owner, EXISTS (SELECT FROM daemon d WHERE d.id = b.owner AND d.expiry > clock_timestamp()) AS alive, b.fence, b.state, b.state_reason FROM bot b ORDER BY b.id;

-- DAEMONS
SELECT id, shard, shards, host, pid, config_hash, extract(epoch FROM beat)::float8 AS beat,
    expiry > clock_timestamp() AS alive, drain
FROM daemon WHERE beat > clock_timestamp() - interval '1 day' ORDER BY beat DESC, id;

-- SET_BOT_STATE
UPDATE bot SET state = $2, state_reason = $3 WHERE id = $1;

-- SET_DISCLOSED
UPDATE bot SET disclosed_at = to_timestamp($2) WHERE id = $1;

-- SET_OFFSET
UPDATE bot SET update_offset = $3 WHERE id = $1 AND fence = $2;

-- CHATS
SELECT id, ear, extract(epoch FROM notice_at)::float8 AS notice_at FROM chat ORDER BY id;

-- ENSURE_CHATS
INSERT INTO chat (id) SELECT id FROM unnest($1::bigint[]) AS n(id) ORDER BY id ON CONFLICT (id) DO NOTHING;

-- SET_EAR
UPDATE chat SET ear = $3 WHERE id = $1 AND ear IS NOT DISTINCT FROM $2 RETURNING true;

-- RELEASE_NOTICE
UPDATE chat SET notice_at = NULL WHERE id = $1 AND notice_at = to_timestamp($2);

-- CLAIM_NOTICE
UPDATE chat SET notice_at = to_timestamp($2)
WHERE id = $1 AND (notice_at IS NULL OR notice_at < to_timestamp($3)) RETURNING true;

-- REKEY_CHAT
WITH old AS (DELETE FROM chat WHERE id = $1 RETURNING ear, notice_at)
INSERT INTO chat (id, ear, notice_at) SELECT $2, ear, notice_at FROM old
ON CONFLICT (id) DO UPDATE SET ear = coalesce(chat.ear, excluded.ear),
    notice_at = greatest(chat.notice_at, excluded.notice_at);

-- GROUP
WITH claimed AS MATERIALIZED (
    SELECT nextval('message_id_seq') AS id, clock_timestamp() AS created_at, c.*
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[],
        $8::bigint[], $9::text[]) WITH ORDINALITY
        AS c(bot_id, fence, chat_id, kind, text, author, reply_to, thread_id, turn_id, n)
    JOIN bot b ON b.id = c.bot_id AND b.fence = c.fence AND b.owner IS NOT NULL
    ORDER BY b.id, c.n FOR SHARE OF b
), inserted AS (
    INSERT INTO message (id, created_at, bot_id, fence, chat_id, kind, text, author, reply_to, thread_id, turn_id,
        state)
    SELECT id, created_at, bot_id, fence, chat_id, kind, text, author, reply_to, thread_id, turn_id, 'sending'
    FROM claimed
), settled AS (
    UPDATE message m SET state = s.state, reason = s.reason,
        telegram_message_id = coalesce(s.telegram_id, m.telegram_message_id),
        sent_at = CASE WHEN s.state = 'sent' THEN coalesce(to_timestamp(s.at), clock_timestamp()) END,
        seen_at = CASE WHEN s.state = 'sent' THEN clock_timestamp() END
    FROM unnest($10::bigint[], $11::float8[], $12::text[], $13::bigint[], $14::float8[], $15::text[])
        AS s(id, created_at, state, telegram_id, at, reason)
    WHERE m.id = s.id AND m.created_at = to_timestamp(s.created_at) AND m.state IN ('sending', 'uncertain')
        AND m.created_at BETWEEN to_timestamp($16) AND to_timestamp($17)
)
SELECT n, id, extract(epoch FROM created_at)::float8 AS created_at FROM claimed;

-- ABANDON
UPDATE message m SET state = 'failed', reason = 'the claim was lost with its connection; it was not sent'
FROM unnest($1::bigint[], $2::bigint[]) AS l(bot_id, fence)
WHERE m.bot_id = l.bot_id AND m.fence = l.fence AND m.state = 'sending' AND m.id <> ALL ($3::bigint[]);

-- RECEIVE
INSERT INTO message (chat_id, telegram_message_id, user_id, author, text, created_at, reply_to, thread_id, kind, state,
    seen_at)
SELECT chat_id, telegram_id, user_id, author, text, to_timestamp(at), reply_to, thread_id, 'person', 'received',
    clock_timestamp()
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::float8[], $7::bigint[],
    $8::bigint[]) WITH ORDINALITY AS r(chat_id, telegram_id, user_id, author, text, at, reply_to, thread_id, n)
ORDER BY n
ON CONFLICT (chat_id, telegram_message_id, created_at) DO NOTHING
RETURNING id, chat_id, telegram_message_id;

-- EDIT
UPDATE message SET text = $3 WHERE chat_id = $1 AND telegram_message_id = $2 AND state = 'received';

-- WITNESS
UPDATE message m SET state = 'sent', telegram_message_id = $3, sent_at = to_timestamp($6), seen_at = clock_timestamp(),
    reason = 'seen by another bot'
FROM (
    SELECT id, created_at FROM message
    WHERE bot_id = $1 AND chat_id = $2 AND text = $4 AND reply_to IS NOT DISTINCT FROM $5
        AND state IN ('sending', 'uncertain')
        AND created_at BETWEEN to_timestamp($6) - make_interval(secs => $7)
            AND to_timestamp($6) + make_interval(secs => $8)
        AND NOT EXISTS (SELECT FROM message k WHERE k.chat_id = $2 AND k.telegram_message_id = $3)
    ORDER BY abs(extract(epoch FROM created_at) - $6::float8), id LIMIT 1 FOR UPDATE
) AS w
WHERE m.id = w.id AND m.created_at = w.created_at RETURNING m.id;

-- RECENT
SELECT m.id, m.chat_id, m.bot_id, m.author, m.kind, m.text,
    extract(epoch FROM coalesce(m.sent_at, m.created_at))::float8 AS at,
    m.telegram_message_id, m.user_id, m.reply_to, m.thread_id FROM message m WHERE m.chat_id = $1 AND m.state IN ('received', 'sent')
ORDER BY m.created_at DESC LIMIT $2;

-- TAIL
SELECT m.id, m.chat_id, m.bot_id, m.author, m.kind, m.text,
    extract(epoch FROM coalesce(m.sent_at, m.created_at))::float8 AS at,
    m.telegram_message_id, m.user_id, m.reply_to, m.thread_id FROM message m
WHERE m.seen_at >= to_timestamp($2) AND m.chat_id = ANY ($1::bigint[]) AND m.state IN ('received', 'sent')
    AND m.created_at >= to_timestamp($2) - interval '2 days'
ORDER BY m.seen_at DESC LIMIT $3;

-- NOW
SELECT extract(epoch FROM clock_timestamp())::float8;

-- SENDS
SELECT bot_id, chat_id, kind, extract(epoch FROM greatest(created_at, sent_at))::float8 AS at FROM message
WHERE bot_id = ANY ($1::bigint[]) AND state IN ('sending', 'sent', 'uncertain')
    AND created_at >= to_timestamp($2) - interval '10 minutes' AND greatest(created_at, sent_at) >= to_timestamp($2)
ORDER BY greatest(created_at, sent_at), id;

-- ANSWERS
SELECT p.user_id, extract(epoch FROM greatest(a.created_at, a.sent_at))::float8 AS at, a.text = $3 AS polite
FROM message a JOIN message p ON p.chat_id = a.chat_id AND p.telegram_message_id = a.reply_to
    AND p.created_at >= to_timestamp($2) - interval '1 day' AND p.user_id IS NOT NULL
WHERE a.bot_id = ANY ($1::bigint[]) AND a.created_at >= to_timestamp($2) AND a.kind IN ('answer', 'fixed')
    AND a.state IN ('sending', 'sent', 'uncertain');

-- OPEN_STIMULUS
INSERT INTO stimulus (chat_id, telegram_id, slot, message_id, created_at) VALUES ($1, $2, $3, $4, to_timestamp($5))
ON CONFLICT DO NOTHING RETURNING true;

-- TAKE_STIMULUS
UPDATE stimulus s SET state = 'taken', taken_by = $4,
    taken_fence = (SELECT fence FROM bot WHERE id = $4 AND owner IS NOT NULL)
WHERE s.chat_id = $1 AND s.telegram_id = $2 AND s.slot = $3
    AND (s.state = 'open' OR s.state = 'taken' AND NOT EXISTS (SELECT FROM bot b JOIN daemon d ON d.id = b.owner AND d.expiry > clock_timestamp()
    WHERE b.id = s.taken_by AND b.fence = s.taken_fence))
    AND EXISTS (SELECT FROM bot WHERE id = $4 AND owner IS NOT NULL)
RETURNING taken_fence;

-- CLOSE_STIMULUS
UPDATE stimulus SET state = $4, taken_by = CASE WHEN $4 = 'open' THEN NULL ELSE taken_by END,
    taken_fence = CASE WHEN $4 = 'open' THEN NULL ELSE taken_fence END
WHERE chat_id = $1 AND telegram_id = $2 AND slot = $3
    AND (state = 'open' OR state = 'taken' AND taken_by = $5 AND taken_fence = $6);

-- OPEN_STIMULI
SELECT s.telegram_id AS stimulus_id, s.slot, m.id, m.chat_id, m.bot_id, m.author, m.kind, m.text,
    extract(epoch FROM coalesce(m.sent_at, m.created_at))::float8 AS at,
    m.telegram_message_id, m.user_id, m.reply_to, m.thread_id FROM stimulus s JOIN message m ON m.id = s.message_id
WHERE s.created_at >= to_timestamp($2) AND (s.slot = 0 OR s.slot = ANY ($1::bigint[]))
    AND m.created_at >= to_timestamp($2) - interval '2 days' AND s.chat_id = m.chat_id
    AND (s.state = 'open' OR s.state = 'taken' AND NOT EXISTS (SELECT FROM bot b JOIN daemon d ON d.id = b.owner AND d.expiry > clock_timestamp()
    WHERE b.id = s.taken_by AND b.fence = s.taken_fence))
ORDER BY s.created_at, s.message_id, s.slot;

-- RECORD_TURNS
INSERT INTO turn (id, bot_id, chat_id, created_at, intent, outcome, detail)
SELECT id, bot_id, chat_id, to_timestamp(at), intent, outcome, detail::jsonb
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::float8[], $5::text[], $6::text[], $7::text[])
    AS t(id, bot_id, chat_id, at, intent, outcome, detail)
ON CONFLICT DO NOTHING;

-- ADD_USAGE
INSERT INTO usage AS u (provider, key, model, "window", requests, prompt, cached, completion, cost)
SELECT provider, key, model, to_timestamp(hour), requests, prompt, cached, completion, cost
FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::float8[]) AS n(provider, key, model, hour, requests, prompt, cached, completion, cost)
ORDER BY provider, key, model, hour
ON CONFLICT (provider, key, model, "window") DO UPDATE SET requests = u.requests + excluded.requests,
    prompt = u.prompt + excluded.prompt, cached = u.cached + excluded.cached,
    completion = u.completion + excluded.completion, cost = u.cost + excluded.cost;

-- USAGE
SELECT provider, key, model, extract(epoch FROM "window")::float8 AS at, requests, prompt, cached, completion, cost
FROM usage WHERE "window" >= to_timestamp($1) ORDER BY "window", provider, key, model;

-- COUNTS
SELECT state, count(*) AS n FROM message WHERE created_at >= to_timestamp($1) GROUP BY state;

-- FORGET_STIMULI
DELETE FROM stimulus WHERE created_at < to_timestamp($1);

-- FORGET_DAEMONS
DELETE FROM daemon WHERE expiry < to_timestamp($1);
