-- A small project as a program of schema 7 left it: the dump of its database.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE actor (n INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO "actor" VALUES(1,'double');
CREATE TABLE batch (
  step TEXT NOT NULL, number INTEGER NOT NULL, members TEXT NOT NULL, time REAL NOT NULL, PRIMARY KEY (step,
    number)) STRICT;
INSERT INTO "batch" VALUES('total',0,'["f3a1","f3a2"]',1767225600.25);
CREATE TABLE cost (key TEXT NOT NULL, size INTEGER NOT NULL, peak_mib INTEGER NOT NULL, seconds REAL NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (key, size)) STRICT, WITHOUT ROWID;
INSERT INTO "cost" VALUES('double 1 {}',3,12,0.125,1);
CREATE TABLE decision (
  n INTEGER PRIMARY KEY, step TEXT NOT NULL, item TEXT NOT NULL, subject TEXT NOT NULL, label TEXT NOT NULL,
    accepted INTEGER NOT NULL,
  rule TEXT NOT NULL, value REAL, bound REAL, reason TEXT NOT NULL, by TEXT NOT NULL, key TEXT NOT NULL,
    time REAL NOT NULL, actor TEXT NOT NULL DEFAULT '', title TEXT NOT NULL DEFAULT '', held INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "decision" VALUES(1,'keep','f3a1','f3a1','one',0,'least_value',1.0,1.5,'the value 1 is below 1.5','rule','aa04',1767225603.25,'least_value','too small',0);
INSERT INTO "decision" VALUES(2,'keep','f3a3','f3a3','three',1,'least_value',NULL,NULL,'','rule','aa05',1767225604.25,'least_value','too small',0);
INSERT INTO "decision" VALUES(3,'keep','f3a1','f3a1','one',1,'',NULL,NULL,'looks fine','person','',1767225605.25,'ada','',0);
CREATE TABLE event (n INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, step TEXT NOT NULL,
  label TEXT NOT NULL, text TEXT NOT NULL, actor TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO "event" VALUES(1,1767225600.25,'start','','','the engine started','');
INSERT INTO "event" VALUES(2,1767225601.25,'failed','double','two µ','two.txt: ends after 3 of 8 bytes','');
CREATE TABLE file (
  n INTEGER PRIMARY KEY, step TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    state TEXT NOT NULL,
  hash TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL, time REAL NOT NULL) STRICT;
INSERT INTO "file" VALUES(1,'in','one.txt',8,1767225000000000001,'item','f3a1','f3a1','',1767225600.25);
INSERT INTO "file" VALUES(2,'in','again/one.txt',8,1767225000000000002,'duplicate','f3a1','f3a1','',1767225600.25);
INSERT INTO "file" VALUES(3,'in','four.txt',3,1767225000000000003,'broken','','','four.txt: ends after 3 of 8 bytes',1767225600.25);
CREATE TABLE item (
  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, step TEXT NOT NULL, port TEXT NOT NULL,
  subject TEXT NOT NULL, ord TEXT NOT NULL, label TEXT NOT NULL, record TEXT NOT NULL, actor INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "item" VALUES(1,'f3a1','Number','in','numbers','f3a1','20260101T120000 0001','one','{"value":1}',0);
INSERT INTO "item" VALUES(2,'f3a2','Number','in','numbers','f3a2','20260101T120005 0002','two µ','{"value":2}',0);
INSERT INTO "item" VALUES(3,'f3a3','Number','in','numbers','f3a3','20260101T120010 0003','three','{"value":null}',0);
INSERT INTO "item" VALUES(4,'0c11','Number','double','doubled','f3a1','20260101T120000 0001','one','{"value":2,"file":"steps/double/one_0c11aa22/n.txt"}',1);
INSERT INTO "item" VALUES(5,'0c12','Number','total','sum','total-0','0','total 0','{"value":3}',0);
CREATE TABLE kill (key TEXT PRIMARY KEY, deaths INTEGER NOT NULL, alone INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "kill" VALUES('aa09',2,1);
CREATE TABLE output (
  task INTEGER NOT NULL REFERENCES task(n) ON DELETE CASCADE, place INTEGER NOT NULL, port TEXT NOT NULL,
  item INTEGER NOT NULL REFERENCES item(n), PRIMARY KEY (task, place)) STRICT, WITHOUT ROWID;
INSERT INTO "output" VALUES(1,0,'doubled',4);
INSERT INTO "output" VALUES(3,0,'sum',5);
CREATE TABLE program (n INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO "program" VALUES(1,'frazil 0.1.0; numbers 1');
CREATE TABLE question (
  n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, step TEXT NOT NULL, label TEXT NOT NULL, text TEXT NOT NULL,
  asked REAL NOT NULL, answered REAL NOT NULL DEFAULT 0, answer TEXT NOT NULL DEFAULT '',
  actor TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO "question" VALUES(1,'aa10','keep','two µ','keep two µ?',1767225606.25,1767225607.25,'yes','ada');
INSERT INTO "question" VALUES(2,'approve total','total','','may total start?',1767225608.25,0.0,'','');
CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "setting" VALUES('epoch','7');
INSERT INTO "setting" VALUES('workflow','{"name":"numbers","steps":[]}');
CREATE TABLE task (
  n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, step TEXT NOT NULL, protocol TEXT NOT NULL, version INTEGER NOT NULL,
  subject TEXT NOT NULL, label TEXT NOT NULL, ord TEXT NOT NULL, failed INTEGER NOT NULL, code TEXT NOT NULL,
    message TEXT NOT NULL,
  attempts INTEGER NOT NULL, seconds REAL NOT NULL, peak_mib INTEGER NOT NULL, threads INTEGER NOT NULL,
    target TEXT NOT NULL,
  inputs TEXT NOT NULL, finished REAL NOT NULL, program INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "task" VALUES(1,'aa01','double','double',1,'f3a1','one','20260101T120000 0001',0,'','',1,0.125,12,1,'AVX2','[1]',1767225600.25,1);
INSERT INTO "task" VALUES(2,'aa02','double','double',1,'f3a2','two µ','20260101T120005 0002',1,'corrupt','two.txt: ends after 3 of 8 bytes',3,0.5,9,1,'AVX2','[2]',1767225601.25,0);
INSERT INTO "task" VALUES(3,'aa03','total','sum',2,'total-0','total 0','0',0,'','',1,1.5,40,2,'AVX3','[1,2]',1767225602.25,1);
INSERT INTO "task" VALUES(4,'aa04','keep','keep-large',1,'f3a1','one','20260101T120000 0001',0,'','',1,0.01,8,1,'AVX2','[1]',1767225603.25,1);
CREATE UNIQUE INDEX decision_of_rule ON decision (key) WHERE by = 'rule';
CREATE INDEX decision_of_person ON decision (n) WHERE by = 'person';
CREATE INDEX file_by_path ON file (step, path);
CREATE INDEX question_open ON question (n) WHERE answered = 0;
CREATE INDEX task_failed ON task (n) WHERE failed = 1;
COMMIT;
PRAGMA user_version = 7;
