// The schema as numbered steps; step N takes a database from user_version N to N + 1.
#pragma once

#include <array>

namespace frazil::store {

inline constexpr std::array migrations = {
    R"sql(
CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE item (
  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, step TEXT NOT NULL, port TEXT NOT NULL,
  subject TEXT NOT NULL, ord TEXT NOT NULL, label TEXT NOT NULL, record TEXT NOT NULL) STRICT;
CREATE TABLE task (
  n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, step TEXT NOT NULL, protocol TEXT NOT NULL, version INTEGER NOT NULL,
  subject TEXT NOT NULL, label TEXT NOT NULL, ord TEXT NOT NULL, failed INTEGER NOT NULL, code TEXT NOT NULL,
    message TEXT NOT NULL,
  attempts INTEGER NOT NULL, seconds REAL NOT NULL, peak_mib INTEGER NOT NULL, threads INTEGER NOT NULL,
    target TEXT NOT NULL,
  inputs TEXT NOT NULL, finished REAL NOT NULL) STRICT;
CREATE TABLE output (
  task INTEGER NOT NULL REFERENCES task(n) ON DELETE CASCADE, place INTEGER NOT NULL, port TEXT NOT NULL,
  item INTEGER NOT NULL REFERENCES item(n), PRIMARY KEY (task, place)) STRICT, WITHOUT ROWID;
CREATE TABLE batch (
  step TEXT NOT NULL, number INTEGER NOT NULL, members TEXT NOT NULL, time REAL NOT NULL, PRIMARY KEY (step,
    number)) STRICT;
CREATE TABLE decision (
  n INTEGER PRIMARY KEY, step TEXT NOT NULL, item TEXT NOT NULL, subject TEXT NOT NULL, label TEXT NOT NULL,
    accepted INTEGER NOT NULL,
  rule TEXT NOT NULL, value REAL, bound REAL, reason TEXT NOT NULL, by TEXT NOT NULL, key TEXT NOT NULL,
    time REAL NOT NULL) STRICT;
CREATE UNIQUE INDEX decision_of_rule ON decision (key) WHERE by = 'rule';
CREATE INDEX decision_of_person ON decision (n) WHERE by = 'person';
CREATE TABLE file (
  n INTEGER PRIMARY KEY, step TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    state TEXT NOT NULL,
  hash TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL, time REAL NOT NULL) STRICT;
CREATE INDEX file_by_path ON file (step, path);
CREATE TABLE event (n INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, step TEXT NOT NULL,
  label TEXT NOT NULL, text TEXT NOT NULL) STRICT;
)sql",
    R"sql(
CREATE INDEX task_failed ON task (n) WHERE failed = 1;
CREATE TABLE cost (key TEXT NOT NULL, size INTEGER NOT NULL, peak_mib INTEGER NOT NULL, seconds REAL NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (key, size)) STRICT, WITHOUT ROWID;
)sql",
    R"sql(
CREATE TABLE program (n INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
ALTER TABLE task ADD COLUMN program INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
CREATE TABLE actor (n INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
ALTER TABLE item ADD COLUMN actor INTEGER NOT NULL DEFAULT 0;
ALTER TABLE decision ADD COLUMN actor TEXT NOT NULL DEFAULT '';
ALTER TABLE event ADD COLUMN actor TEXT NOT NULL DEFAULT '';
UPDATE decision SET actor = rule WHERE by = 'rule';
)sql",
    R"sql(
ALTER TABLE decision ADD COLUMN title TEXT NOT NULL DEFAULT '';
)sql",
    R"sql(
CREATE TABLE kill (key TEXT PRIMARY KEY, deaths INTEGER NOT NULL, alone INTEGER NOT NULL) STRICT, WITHOUT ROWID;
ALTER TABLE decision ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
CREATE TABLE question (
  n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, step TEXT NOT NULL, label TEXT NOT NULL, text TEXT NOT NULL,
  asked REAL NOT NULL, answered REAL NOT NULL DEFAULT 0, answer TEXT NOT NULL DEFAULT '',
  actor TEXT NOT NULL DEFAULT '') STRICT;
CREATE INDEX question_open ON question (n) WHERE answered = 0;
)sql",
    R"sql(
CREATE TABLE alarm (
  n INTEGER PRIMARY KEY, source TEXT NOT NULL, kind TEXT NOT NULL, about TEXT NOT NULL, text TEXT NOT NULL,
  seen TEXT NOT NULL, expected TEXT NOT NULL, advice TEXT NOT NULL, sure REAL NOT NULL, since REAL NOT NULL,
  until REAL NOT NULL, actor TEXT NOT NULL, acknowledged REAL NOT NULL, reason TEXT NOT NULL) STRICT;
CREATE INDEX alarm_standing ON alarm (n) WHERE until = 0;
)sql",
};

}  // namespace frazil::store
