-- The tables of the house. Reports and dashboards read them: add columns freely, rename and drop none.
-- Times are timestamptz; ids of bots, chats and users are Telegram's.

CREATE TABLE daemon (
    id          text PRIMARY KEY,
    shard       integer NOT NULL CHECK (shard >= 1),
    shards      integer NOT NULL CHECK (shards >= shard),
    host        text NOT NULL,
    pid         integer NOT NULL,
    config_hash text NOT NULL,
    beat        timestamptz NOT NULL,
    expiry      timestamptz NOT NULL,
    drain       text NOT NULL DEFAULT ''
);

CREATE TABLE bot (
    id            bigint PRIMARY KEY,
    name          text NOT NULL,
    username      text NOT NULL,
    owner         text,
    fence         bigint NOT NULL DEFAULT 0,
    update_offset bigint NOT NULL DEFAULT 0,
    state         text NOT NULL DEFAULT 'active',
    state_reason  text NOT NULL DEFAULT '',
    disclosed_at  timestamptz
);
CREATE INDEX bot_owner ON bot (owner) WHERE owner IS NOT NULL;

CREATE TABLE chat (
    id        bigint PRIMARY KEY,
    ear       bigint,
    notice_at timestamptz
);

-- The ledger. seen_at is when a row became part of the room, by this server's clock: a follower asks for what is newer.
CREATE SEQUENCE message_id_seq AS bigint;
CREATE TABLE message (
    id                  bigint NOT NULL DEFAULT nextval('message_id_seq'),
    chat_id             bigint NOT NULL,
    thread_id           bigint,
    bot_id              bigint,
    user_id             bigint,
    author              text NOT NULL,
    kind                text NOT NULL,
    telegram_message_id bigint,
    text                text NOT NULL,
    reply_to            bigint,
    state               text NOT NULL CHECK (state IN ('received', 'sending', 'sent', 'uncertain', 'failed')),
    reason              text NOT NULL DEFAULT '',
    fence               bigint,
    turn_id             text,
    created_at          timestamptz NOT NULL,
    sent_at             timestamptz,
    seen_at             timestamptz,
    PRIMARY KEY (id, created_at),
    -- Telegram delivers updates again: a received row's created_at is Telegram's date, so the second one collides.
    UNIQUE (chat_id, telegram_message_id, created_at),
    CHECK ((state = 'received') = (bot_id IS NULL)),
    CHECK (state <> 'sent' OR telegram_message_id IS NOT NULL)
) PARTITION BY RANGE (created_at);
ALTER SEQUENCE message_id_seq OWNED BY message.id;
CREATE TABLE message_default PARTITION OF message DEFAULT;
CREATE INDEX message_room ON message (chat_id, created_at DESC) WHERE state IN ('received', 'sent');
CREATE INDEX message_tail ON message (seen_at) WHERE seen_at IS NOT NULL;
CREATE INDEX message_bot ON message (bot_id, created_at) WHERE bot_id IS NOT NULL;
CREATE INDEX message_unsettled ON message (bot_id) WHERE state IN ('sending', 'uncertain');

CREATE TABLE turn (
    id         text NOT NULL,
    bot_id     bigint NOT NULL,
    chat_id    bigint NOT NULL,
    intent     text NOT NULL,
    outcome    text NOT NULL,
    detail     jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE TABLE turn_default PARTITION OF turn DEFAULT;
CREATE INDEX turn_bot ON turn (bot_id, created_at);

CREATE TABLE stimulus (
    chat_id     bigint NOT NULL,
    telegram_id bigint NOT NULL,
    slot        bigint NOT NULL,
    message_id  bigint NOT NULL,
    taken_by    bigint,
    taken_fence bigint,
    state       text NOT NULL DEFAULT 'open',
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (chat_id, telegram_id, slot)
);
CREATE INDEX stimulus_open ON stimulus (created_at) WHERE state IN ('open', 'taken');

CREATE TABLE memory (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bot_id     bigint NOT NULL,
    chat_id    bigint NOT NULL,
    user_id    bigint,
    kind       text NOT NULL,
    text       text NOT NULL,
    weight     real NOT NULL DEFAULT 1,
    message_id bigint,
    created_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX memory_bot ON memory (bot_id, created_at);

-- "window" is the hour's beginning; key names a credential, it never is one.
CREATE TABLE usage (
    provider   text NOT NULL,
    key        text NOT NULL,
    model      text NOT NULL,
    "window"   timestamptz NOT NULL,
    requests   bigint NOT NULL DEFAULT 0,
    tokens     bigint NOT NULL GENERATED ALWAYS AS (prompt + completion) STORED,
    prompt     bigint NOT NULL DEFAULT 0,
    cached     bigint NOT NULL DEFAULT 0,
    completion bigint NOT NULL DEFAULT 0,
    cost       double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (provider, key, model, "window")
);
CREATE INDEX usage_window ON usage ("window");
