-- Every call the gateway made: names and sizes only.
CREATE TABLE jobs (
    id TEXT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    event TEXT NOT NULL,
    form TEXT NOT NULL,
    hook TEXT NOT NULL,
    outcome TEXT NOT NULL,
    request_id TEXT NOT NULL,
    submission_id TEXT,
    person TEXT,
    erased BIGINT,
    record TEXT NOT NULL
);
CREATE INDEX jobs_at ON jobs (at);
CREATE INDEX jobs_form ON jobs (form, at);
CREATE INDEX jobs_request ON jobs (request_id);
CREATE INDEX jobs_submission ON jobs (submission_id) WHERE submission_id IS NOT NULL;
CREATE INDEX jobs_person ON jobs (person) WHERE person IS NOT NULL;

-- What may hold values of fields: bodies, headers, changes. Kept for a shorter time than jobs.
CREATE TABLE contents (
    id TEXT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    details TEXT NOT NULL,
    sent BYTEA,
    received BYTEA
);
CREATE INDEX contents_at ON contents (at);

-- One row for each request of a person to a form: what happened in which order.
CREATE TABLE timelines (
    id TEXT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    form TEXT NOT NULL,
    outcome TEXT NOT NULL,
    request_id TEXT NOT NULL,
    submission_id TEXT,
    person TEXT,
    record TEXT NOT NULL
);
CREATE INDEX timelines_at ON timelines (at);
CREATE INDEX timelines_request ON timelines (request_id);
CREATE INDEX timelines_person ON timelines (person) WHERE person IS NOT NULL;

-- That somebody's data was erased: a digest of who, never who.
CREATE TABLE erasures (
    id TEXT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    person TEXT NOT NULL,
    jobs BIGINT NOT NULL
);
