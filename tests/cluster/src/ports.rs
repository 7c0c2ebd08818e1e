//! Ports for control planes that run beside each other: blocks below the range from which the system
//! takes ports by itself, each held by a lock on a file, so that two processes never share one.

use std::fs::{self, File};
use std::net::TcpListener;

use anyhow::{Result, bail};

use crate::parts::cache_dir;

const FIRST: u16 = 20_000;
const BLOCKS: u16 = 400;
const SIZE: u16 = 4;

/// A block of ports. Whoever has it may use `port(0)` to `port(3)`.
#[derive(Debug)]
pub(crate) struct Ports {
    first: u16,
    _lock: File,
}

impl Ports {
    pub(crate) fn take() -> Result<Self> {
        let locks = cache_dir()?.join("ports");
        fs::create_dir_all(&locks)?;
        for block in 0..BLOCKS {
            let first = FIRST + block * SIZE;
            let lock = File::create(locks.join(first.to_string()))?;
            let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
            if lock.try_lock().is_ok() && (first..first + SIZE).all(free) {
                return Ok(Self { first, _lock: lock });
            }
        }
        bail!("no free ports between {FIRST} and {}", FIRST + BLOCKS * SIZE)
    }

    pub(crate) fn port(&self, number: u16) -> u16 {
        self.first + number
    }
}
