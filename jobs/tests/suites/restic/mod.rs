//! `backup-job restic` from outside: the real program, the real restic, real repositories.
//!
//! Tests read as claims. Without `restic` and `s3-server` on the PATH they fail. Some need root; they say so where
//! it is missing, past the test harness's capture, and never pass in silence.

mod copy;
mod disk;
mod expected;
mod interrupted;
mod killed_prune;
mod locks;
mod maintain;
mod refused;
mod s3;
mod scene;
mod secrets;
mod server;
mod sftp;
mod unchanged;
mod wire;
