BEGIN TRANSACTION;
CREATE TABLE checkpoints (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            batches_trained INTEGER NOT NULL, created_at FLOAT NOT NULL, path TEXT NOT NULL, size_bytes INTEGER NOT NULL, automatic INTEGER NOT NULL DEFAULT 0, metric FLOAT);
INSERT INTO "checkpoints" VALUES(1,'c1','old1',3,1700000050.0,'/there/c1',10,1,0.5);
CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, at FLOAT NOT NULL,
            event TEXT NOT NULL);
INSERT INTO "events" VALUES(1,'old1',1.79603369368494915963e+09,'{"kind":"state","state":"finished","at":1700000060.0}');
CREATE TABLE log (
            id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, at FLOAT NOT NULL,
            stream TEXT NOT NULL, text TEXT NOT NULL);
INSERT INTO "log" VALUES(1,'old1',1700000001.0,'stdout','hello ü
');
CREATE TABLE runs (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, entrypoint TEXT NOT NULL,
            definition TEXT NOT NULL, definition_root TEXT NOT NULL, framework TEXT NOT NULL, device TEXT NOT NULL, seed TEXT NOT NULL,
            hyperparameters TEXT NOT NULL, config TEXT NOT NULL, bundle_hash TEXT NOT NULL, kernel_id TEXT, host TEXT NOT NULL,
            pid INTEGER NOT NULL, owner_started_at FLOAT, created_at FLOAT NOT NULL, updated_at FLOAT NOT NULL, ended_at FLOAT,
            batches_trained INTEGER NOT NULL, best TEXT, session TEXT, recipe TEXT, versions TEXT NOT NULL DEFAULT '{}', owner_space TEXT);
INSERT INTO "runs" VALUES(1,'old1','finished','model_def:Trial','digits','/there/digits','pytorch','cpu','18446744073709551615','{"lr":0.1,"layers":[1,2],"nested":{"name":"\u00fc''\"; DROP TABLE runs; --"}}','{"searcher":{"metric":"accuracy"}}','abababababababababababababababababababababababababababababababab',NULL,'old-host',4242,NULL,1700000000.0,1700000060.0,1700000060.0,7,'{"name":"accuracy","value":0.5,"batches_trained":7,"smaller_is_better":false}','{"session_id":"s1","run_id":"r1","entrypoint":"model_def:Trial","definition":"digits","definition_root":"/there/digits","framework":"pytorch","device":"cpu","state":"running","activity":"training","batches_trained":7,"records_trained":448,"batches_per_epoch":20,"plan_start_batches":0,"plan_target_batches":100,"validation_done":null,"validation_total":null,"batches_per_second":12.5,"records_per_second":"Infinity","elapsed_s":0.5,"plan_elapsed_s":0.0,"eta_s":null,"latest":{"training":{"loss":0.25}},"best":{"name":"accuracy","value":0.5,"batches_trained":7,"smaller_is_better":false},"gpu":null,"error":{"name":"ValueError","message":"no","traceback":"line 1\nline 2","hint":null},"allowed":[],"has_training":false,"slowed":false,"stuck":null,"hyperparameter_changes":[],"saved":null,"warnings":[],"more_warnings":0}',NULL,'{}',NULL);
INSERT INTO "runs" VALUES(2,'old2','failed','model_def:Trial','digits','/there/digits','pytorch','cpu','18446744073709551615','{}','{"searcher":{"metric":"accuracy"}}','abababababababababababababababababababababababababababababababab',NULL,'old-host',4243,NULL,1700000100.0,1700000160.0,1700000160.0,0,NULL,NULL,NULL,'{}',NULL);
CREATE TABLE series (
            id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, metric_group TEXT NOT NULL,
            name TEXT NOT NULL, first_batch INTEGER NOT NULL, count INTEGER NOT NULL, batches BLOB, "values" BLOB NOT NULL);
INSERT INTO "series" VALUES(1,'old1','training','loss',1,3,NULL,X'000000000000E03F000000000000F03F000000000000F83F');
CREATE INDEX runs_by_creation ON runs (created_at, number);
CREATE INDEX runs_by_update ON runs (updated_at);
CREATE INDEX runs_by_state ON runs (state);
CREATE INDEX series_of_run ON series (run_id, metric_group, name, id);
CREATE INDEX series_by_id ON series (run_id, id);
CREATE INDEX events_of_run ON events (run_id, id);
CREATE INDEX log_of_run ON log (run_id, id);
CREATE INDEX checkpoints_of_run ON checkpoints (run_id, number);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',2);
INSERT INTO "sqlite_sequence" VALUES('series',1);
INSERT INTO "sqlite_sequence" VALUES('events',1);
INSERT INTO "sqlite_sequence" VALUES('log',1);
INSERT INTO "sqlite_sequence" VALUES('checkpoints',1);
COMMIT;
PRAGMA user_version = 4;
