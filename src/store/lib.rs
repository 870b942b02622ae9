//! Tables, codec, snapshots, batches and the log; the contract of an engine, and the engine for tests.
