-- {text} is text compared byte by byte, {blob} is bytes: the two databases name them differently.
-- row_hash is the hash of the rest of a row: what a disk does to one is noticed.

CREATE TABLE head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch {text} NOT NULL,
    seq BIGINT NOT NULL,
    oldest_seq BIGINT NOT NULL,
    row_hash {text} NOT NULL
);

-- Epochs that a restore ended, and the last write of each that the backup had.
CREATE TABLE past (
    epoch {text} PRIMARY KEY,
    seq BIGINT NOT NULL,
    row_hash {text} NOT NULL
);

CREATE TABLE version (
    rid {text} NOT NULL,
    rev BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    op_id {text} NOT NULL UNIQUE,
    digest {text} NOT NULL,
    name {text} NOT NULL,
    folder {text} NOT NULL,
    body {text},
    author {text} NOT NULL,
    at {text} NOT NULL,
    saved_at {text},
    run_id {text} NOT NULL,
    note {text} NOT NULL,
    row_hash {text} NOT NULL,
    PRIMARY KEY (rid, rev)
);

-- The newest revision of each resource.
CREATE TABLE resource (
    rid {text} PRIMARY KEY,
    rev BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    name {text} NOT NULL,
    folder {text} NOT NULL,
    live INTEGER NOT NULL
);
CREATE UNIQUE INDEX resource_by_name ON resource (name) WHERE live = 1;
CREATE INDEX resource_by_folder ON resource (folder, rid) WHERE live = 1;

CREATE TABLE feed (
    seq BIGINT PRIMARY KEY,
    rid {text} NOT NULL,
    principal {text} NOT NULL,
    folder {text} NOT NULL,
    row_hash {text} NOT NULL
);

CREATE TABLE access (
    principal {text} NOT NULL,
    folder {text} NOT NULL,
    level INTEGER NOT NULL,
    seq BIGINT NOT NULL,
    row_hash {text} NOT NULL,
    PRIMARY KEY (principal, folder)
);
CREATE INDEX access_by_folder ON access (folder);

CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    at {text} NOT NULL,
    principal {text} NOT NULL,
    action {text} NOT NULL,
    about {text} NOT NULL
);

CREATE TABLE principal (
    name {text} PRIMARY KEY,
    created_at {text} NOT NULL,
    row_hash {text} NOT NULL
);

-- Of a token only the digest is kept: who reads this table can not log in.
CREATE TABLE token (
    id {text} PRIMARY KEY,
    digest {text} NOT NULL,
    owner {text} NOT NULL REFERENCES principal (name),
    scope {text} NOT NULL,
    created_at {text} NOT NULL,
    expires_at {text} NOT NULL,
    revoked_at {text},
    row_hash {text} NOT NULL,
    used_at {text}
);

-- Code that records name by its digest.
CREATE TABLE blob (
    digest {text} PRIMARY KEY,
    data {blob} NOT NULL
);
