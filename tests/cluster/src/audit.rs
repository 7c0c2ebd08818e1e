//! The API server's own record of who asked what.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// One request, as the API server recorded it when it was answered (a watch is recorded when it begins
/// and when it ends; `stage` tells).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedRequest {
    /// Who asked. An impersonated user stands here instead of the impersonator.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// The API group, empty for the core group.
    pub group: String,
    /// The plural name of the kind; empty for paths that are no objects.
    pub resource: String,
    /// `status`, `token` and so on; else empty.
    pub subresource: String,
    /// The object's namespace; else empty.
    pub namespace: String,
    /// The object's name; else empty.
    pub name: String,
    /// The HTTP status; 0 if none was recorded.
    pub code: u16,
    /// `ResponseComplete`, or `ResponseStarted` for a watch that began.
    pub stage: String,
    /// The path and query.
    pub uri: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// When it came in: RFC 3339, in microseconds, by this machine's clock.
    pub received: String,
    /// When this stage was reached.
    pub reached: String,
}

impl AuditedRequest {
    fn read(event: &Value) -> Self {
        let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let user = match event.pointer("/impersonatedUser/username").and_then(Value::as_str) {
            Some(user) => user.to_owned(),
            None => text("/user/username"),
        };
        Self {
            user,
            verb: text("/verb"),
            group: text("/objectRef/apiGroup"),
            resource: text("/objectRef/resource"),
            subresource: text("/objectRef/subresource"),
            namespace: text("/objectRef/namespace"),
            name: text("/objectRef/name"),
            code: event
                .pointer("/responseStatus/code")
                .and_then(Value::as_u64)
                .and_then(|code| code.try_into().ok())
                .unwrap_or(0),
            stage: text("/stage"),
            uri: text("/requestURI"),
            user_agent: text("/userAgent"),
            received: text("/requestReceivedTimestamp"),
            reached: text("/stageTimestamp"),
        }
    }
}

/// Reads a whole log. A last line that is still being written is left out.
pub(crate) fn read(log: &Path) -> Result<Vec<AuditedRequest>> {
    let bytes = std::fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| {
            Ok(AuditedRequest::read(&serde_json::from_str(line).context("the audit log has a line that is no JSON")?))
        })
        .collect()
}
