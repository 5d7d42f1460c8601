-- Shards are counted from 0. A release that counts 1 … n may go on beside this one until it is stopped.
ALTER TABLE daemon DROP CONSTRAINT daemon_shard_check;
ALTER TABLE daemon ADD CONSTRAINT daemon_shard_check CHECK (shard >= 0 AND shards >= 1);

-- notice_message_id: the newest notice that is known to be posted. notice_older: what the newest claim of the notice
-- called too old, from which a renewal that failed reckons when it is due again.
ALTER TABLE chat ADD COLUMN notice_message_id bigint, ADD COLUMN notice_older timestamptz;
UPDATE chat SET notice_message_id = (
    SELECT m.telegram_message_id FROM message m
    WHERE m.chat_id = chat.id AND m.kind = 'notice' AND m.state = 'sent' ORDER BY m.created_at DESC LIMIT 1
);

-- The key of the stimulus that a row answers: whole, for a group may move to another id in between.
ALTER TABLE message ADD COLUMN stimulus_chat_id bigint, ADD COLUMN stimulus_telegram_id bigint,
    ADD COLUMN stimulus_slot bigint, ADD COLUMN restated boolean NOT NULL DEFAULT false;
CREATE INDEX message_uncertain ON message (created_at) WHERE state = 'uncertain';

-- answer_id: the message that answers it or is on its way to. granted: what its member's budget gave, `answer` or
-- `polite`; null where it does not count.
ALTER TABLE stimulus ADD COLUMN user_id bigint, ADD COLUMN taken_at timestamptz, ADD COLUMN granted text,
    ADD COLUMN tries integer NOT NULL DEFAULT 0, ADD COLUMN reason text NOT NULL DEFAULT '',
    ADD COLUMN answer_id bigint;
UPDATE stimulus s SET user_id = m.user_id FROM message m WHERE m.id = s.message_id;
-- The answers of the last day keep counting for their members' budgets.
UPDATE stimulus s SET granted = 'answer', taken_at = a.created_at, answer_id = a.id
FROM message a
WHERE a.chat_id = s.chat_id AND a.reply_to = s.telegram_id AND a.kind = 'answer' AND s.state = 'answered'
    AND a.state IN ('sending', 'sent', 'uncertain') AND a.created_at > clock_timestamp() - interval '1 day';
CREATE INDEX stimulus_member ON stimulus (user_id, taken_at) WHERE granted IS NOT NULL;

-- What a member's budget gives for a stimulus, itself not counted: answer, polite or silence. The rule is told in
-- answer_budget.py, the numbers come from there.
CREATE FUNCTION member_grant(
    member bigint, key_chat bigint, key_telegram bigint, key_slot bigint,
    short_most integer, short_seconds double precision, day_most integer
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    short integer;
    whole integer;
    newest timestamptz;
    polite timestamptz;
BEGIN
    SELECT count(*) FILTER (WHERE s.granted = 'answer' AND s.taken_at > moment - make_interval(secs => short_seconds)),
        count(*) FILTER (WHERE s.granted = 'answer'),
        max(s.taken_at) FILTER (WHERE s.granted = 'answer'),
        max(s.taken_at) FILTER (WHERE s.granted = 'polite')
    INTO short, whole, newest, polite
    FROM stimulus s
    WHERE s.user_id = member AND s.granted IS NOT NULL AND s.taken_at > moment - interval '1 day'
        AND NOT (s.chat_id = key_chat AND s.telegram_id = key_telegram AND s.slot = key_slot)
        AND (s.state = 'answered' OR s.state = 'taken' AND (s.answer_id IS NOT NULL OR EXISTS (
            SELECT FROM bot b JOIN daemon d ON d.id = b.owner AND d.expiry > moment
            WHERE b.id = s.taken_by AND b.fence = s.taken_fence)));
    IF short < short_most AND whole < day_most THEN
        RETURN 'answer';
    END IF;
    RETURN CASE WHEN polite IS NULL OR polite < newest THEN 'polite' ELSE 'silence' END;
END $$;

-- Take a stimulus for a bot of this daemon's: gone, answer, polite or silence. Takes of one member's stimuli queue up,
-- so that no two of them count the same budget, whatever the shards. What the bot has already taken it may take again:
-- it may not have heard that it did.
CREATE FUNCTION take_stimulus(
    key_chat bigint, key_telegram bigint, key_slot bigint, taker bigint, daemon_id text, counts boolean,
    tries_most integer, short_most integer, short_seconds double precision, day_most integer
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    it stimulus;
    taker_fence bigint;
    given text := 'answer';
BEGIN
    IF counts THEN
        PERFORM pg_advisory_xact_lock(s.user_id) FROM stimulus s
        WHERE s.chat_id = key_chat AND s.telegram_id = key_telegram AND s.slot = key_slot AND s.user_id IS NOT NULL;
    END IF;
    SELECT b.fence INTO taker_fence FROM bot b JOIN daemon d ON d.id = b.owner AND d.expiry > clock_timestamp()
    WHERE b.id = taker AND b.owner = daemon_id FOR SHARE OF b;
    IF NOT FOUND THEN
        RETURN 'gone';
    END IF;
    SELECT s.* INTO it FROM stimulus s
    WHERE s.chat_id = key_chat AND s.telegram_id = key_telegram AND s.slot = key_slot FOR UPDATE;
    IF NOT FOUND OR it.answer_id IS NOT NULL OR it.state NOT IN ('open', 'taken')
        OR it.state = 'taken' AND EXISTS (
            SELECT FROM bot b JOIN daemon d ON d.id = b.owner AND d.expiry > clock_timestamp()
            WHERE b.id = it.taken_by AND b.id <> taker AND b.fence = it.taken_fence) THEN
        RETURN 'gone';
    END IF;
    IF it.tries >= tries_most THEN
        UPDATE stimulus s SET state = 'dropped', reason = 'failed'
        WHERE s.chat_id = key_chat AND s.telegram_id = key_telegram AND s.slot = key_slot;
        RETURN 'gone';
    END IF;
    IF counts AND it.user_id IS NOT NULL THEN
        given := member_grant(
            it.user_id, key_chat, key_telegram, key_slot, short_most, short_seconds, day_most);
    END IF;
    IF given = 'silence' THEN
        UPDATE stimulus s SET state = 'dropped', reason = 'budget'
        WHERE s.chat_id = key_chat AND s.telegram_id = key_telegram AND s.slot = key_slot;
    ELSE
        UPDATE stimulus s SET state = 'taken', reason = '', taken_by = taker, taken_fence = taker_fence,
            taken_at = clock_timestamp(), tries = s.tries + 1, granted = CASE WHEN counts THEN given END
        WHERE s.chat_id = key_chat AND s.telegram_id = key_telegram AND s.slot = key_slot;
    END IF;
    RETURN given;
END $$;
