-- Groups of people, grants that end, lanes, secrets, and an audit whose rows are chained.
-- A column that is added here is part of a row's hash only where it holds something: the rows of
-- before keep theirs.

CREATE TABLE team (
    name {text} PRIMARY KEY,
    created_at {text} NOT NULL,
    made_by {text} NOT NULL,
    row_hash {text} NOT NULL
);

-- Who is in which group themselves; a member is a person or a group.
CREATE TABLE membership (
    team {text} NOT NULL,
    member {text} NOT NULL,
    seq BIGINT NOT NULL,
    row_hash {text} NOT NULL,
    PRIMARY KEY (team, member)
);
CREATE INDEX membership_by_member ON membership (member);

ALTER TABLE access ADD COLUMN expires_at {text};
CREATE INDEX access_by_end ON access (expires_at) WHERE expires_at IS NOT NULL;

-- The folder a token is good in, and the token it was narrowed from.
ALTER TABLE token ADD COLUMN folder {text};
ALTER TABLE token ADD COLUMN parent {text};

-- What was written of before is chained by the program that runs this step, and then dropped.
ALTER TABLE audit RENAME TO audit_before;
CREATE TABLE audit (
    number BIGINT PRIMARY KEY,
    seq BIGINT NOT NULL,
    at {text} NOT NULL,
    principal {text} NOT NULL,
    action {text} NOT NULL,
    about {text} NOT NULL,
    note {text} NOT NULL,
    hash {text} NOT NULL
);
CREATE INDEX audit_by_time ON audit (at);

-- The last row of the audit, so that one that was cut off is noticed.
CREATE TABLE audit_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number BIGINT NOT NULL,
    hash {text} NOT NULL,
    row_hash {text} NOT NULL
);

-- Folders into which versions are promoted, and nothing else is written.
CREATE TABLE lane (
    folder {text} PRIMARY KEY,
    after {text} NOT NULL,
    approvals INTEGER NOT NULL,
    seq BIGINT NOT NULL,
    row_hash {text} NOT NULL
);
CREATE TABLE promotion (
    id {text} PRIMARY KEY,
    source {text} NOT NULL,
    rid {text} NOT NULL,
    rev BIGINT NOT NULL,
    target {text} NOT NULL,
    lane {text} NOT NULL,
    asked_by {text} NOT NULL,
    asked_at {text} NOT NULL,
    note {text} NOT NULL,
    state {text} NOT NULL,
    row_hash {text} NOT NULL
);
CREATE INDEX promotion_by_lane ON promotion (lane);
CREATE TABLE approval (
    promotion {text} NOT NULL,
    approver {text} NOT NULL,
    at {text} NOT NULL,
    row_hash {text} NOT NULL,
    PRIMARY KEY (promotion, approver)
);

-- Sealed before they came: the store cannot open them.
CREATE TABLE secret (
    name {text} NOT NULL,
    version BIGINT NOT NULL,
    folder {text} NOT NULL,
    author {text} NOT NULL,
    saved_at {text} NOT NULL,
    provider {text} NOT NULL,
    fields {text} NOT NULL,
    envelope {text} NOT NULL,
    row_hash {text} NOT NULL,
    PRIMARY KEY (name, version)
);
CREATE INDEX secret_by_folder ON secret (folder)
