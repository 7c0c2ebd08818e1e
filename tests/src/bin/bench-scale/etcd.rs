//! Objects written where the API server keeps them. Through the API server, the state of a month takes an hour.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::ByteString;
use serde_json::{Value, json};

/// What etcd takes in one request, in operations and roughly in bytes.
const OPERATIONS: usize = 128;
const BYTES: usize = 512 * 1024;

/// A writer of many objects.
pub(crate) struct Etcd {
    address: String,
    waiting: Vec<Value>,
    bytes: usize,
    /// How many were written.
    pub(crate) written: usize,
}

impl Etcd {
    pub(crate) fn new(url: &str) -> Self {
        let address = url.trim_start_matches("http://").to_owned();
        Self { address, waiting: Vec::new(), bytes: 0, written: 0 }
    }

    /// Writes an object sooner or later, as the API server does: under its resource (`group/plural`), namespace and name.
    pub(crate) fn put(&mut self, resource: &str, object: &Value) -> Result<()> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let name = text("/metadata/name").context("an object without a name")?;
        let key = match text("/metadata/namespace") {
            Some(namespace) => format!("/registry/{resource}/{namespace}/{name}"),
            None => format!("/registry/{resource}/{name}"),
        };
        let value = object.to_string().into_bytes();
        self.bytes += value.len();
        self.waiting.push(json!({"requestPut": {"key": ByteString(key.into_bytes()), "value": ByteString(value)}}));
        self.written += 1;
        if self.waiting.len() >= OPERATIONS || self.bytes >= BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.bytes = 0;
        let operations = std::mem::take(&mut self.waiting);
        if operations.is_empty() {
            return Ok(());
        }
        let answer = self.ask("/v3/kv/txn", &json!({"success": operations}))?;
        ensure!(answer["succeeded"] == true, "etcd did not write: {answer}");
        Ok(())
    }

    /// The bytes that its database occupies, and its revision.
    pub(crate) fn size(&self) -> Result<(u64, u64)> {
        let status = self.ask("/v3/maintenance/status", &json!({}))?;
        let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let size = number(&status["dbSizeInUse"]).context("etcd tells no size")?;
        Ok((size, number(&status["header"]["revision"]).context("etcd tells no revision")?))
    }

    fn ask(&self, path: &str, question: &Value) -> Result<Value> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let body = question.to_string();
        let (host, length) = (&self.address, body.len());
        write!(
            stream,
            "POST {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )?;
        stream.write_all(body.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("etcd gave no answer")?;
        ensure!(head.split(' ').nth(1) == Some("200"), "etcd refused {path}: {answer}");
        Ok(serde_json::from_str(body)?)
    }
}
