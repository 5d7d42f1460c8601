-- What outlives the ledger's retention: the fingerprints of what our bots sent, for `verify`. Written by the settlement
-- that makes a row `sent`; the text itself is never here.
CREATE TABLE said (
    message_id          bigint PRIMARY KEY,
    hash                bytea NOT NULL,
    bot_id              bigint NOT NULL,
    chat_id             bigint NOT NULL,
    telegram_message_id bigint,
    sent_at             timestamptz NOT NULL
);
CREATE INDEX said_hash ON said (hash, sent_at DESC);
CREATE INDEX said_place ON said (chat_id, telegram_message_id);

-- said_hash: a bot's line's fingerprint, from its claim. handle: the @username under which a member wrote.
ALTER TABLE message ADD COLUMN said_hash bytea, ADD COLUMN handle text NOT NULL DEFAULT '';
CREATE INDEX message_member ON message (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX message_handle ON message (lower(handle)) WHERE handle <> '';

-- Members who want no part in it, and those who were forgotten lately (so that every daemon's memory follows): by a
-- hash that only this database can make, never by their id.
CREATE TABLE member_salt (salt bytea NOT NULL);
INSERT INTO member_salt SELECT sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea);
CREATE TABLE opt_out (hash bytea PRIMARY KEY, at timestamptz NOT NULL);
CREATE TABLE forgotten (hash bytea PRIMARY KEY, at timestamptz NOT NULL);
CREATE FUNCTION member_hash(member bigint) RETURNS bytea STABLE LANGUAGE sql
    AS 'SELECT sha256(salt || int8send(member)) FROM member_salt';
