-- What providers taught: what a model cannot do, what its limits are. `key` is a fingerprint or ''.
CREATE TABLE learned (
    provider text NOT NULL,
    key      text NOT NULL,
    model    text NOT NULL,
    about    text NOT NULL,
    what     jsonb NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (provider, key, model, about)
);
