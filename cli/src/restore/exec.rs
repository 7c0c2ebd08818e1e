//! A command in the restore pod.

use futures::SinkExt as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess};
use model::names;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};

use super::session::{Executor, Session};
use super::stop::Stop;
use super::tty::{Keys, Raw, Text, window};

/// Bytes that the pipes of a command hold.
const BUFFER: usize = 64 * 1024;
/// What a shell says when the reader of its output is gone.
const BROKEN_PIPE: u8 = 13;

/// Executes it; `keys`: the person at the terminal, if it may ask. Gives its exit code.
pub(crate) async fn run(
    session: &Session,
    pod: &str,
    command: &[String],
    keys: Option<&mut Keys>,
) -> Result<i32, Stop> {
    match &session.executor {
        Executor::Server => {}
        #[cfg(test)]
        Executor::Test(run) => return run(command).map(|(code, _)| code),
    }
    let process = begin(session, pod, command, keys.is_some()).await?;
    session.interrupt.during(attend(process, keys)).await?
}

/// Executes it without a terminal, and hears its standard output. Its standard error goes to `words`.
pub(crate) async fn heard(
    session: &Session,
    pod: &str,
    command: &[String],
    words: Text,
) -> Result<(i32, String), Stop> {
    match &session.executor {
        Executor::Server => {}
        #[cfg(test)]
        Executor::Test(run) => return run(command),
    }
    let process = begin(session, pod, command, false).await?;
    session.interrupt.during(hear(process, words)).await?
}

async fn begin(session: &Session, pod: &str, command: &[String], tty: bool) -> Result<AttachedProcess, Stop> {
    let params = AttachParams {
        container: Some(names::CONTAINER.to_owned()),
        stdin: tty,
        stdout: true,
        stderr: !tty,
        tty,
        max_stdin_buf_size: Some(BUFFER),
        max_stdout_buf_size: Some(BUFFER),
        max_stderr_buf_size: Some(BUFFER),
    };
    let api: Api<Pod> = session.api();
    let what = || format!("execute a command in pod {pod}");
    let process = session.interrupt.during(api::bounded(what, api.exec(pod, command, &params))).await?;
    process.map_err(|error| Stop::asked(session.deed("create", "pods/exec"), &error))
}

async fn hear(mut process: AttachedProcess, words: Text) -> Result<(i32, String), Stop> {
    let status = process.take_status();
    let (output, error) = (process.stdout(), process.stderr());
    let mut text = Vec::new();
    let read = async {
        if let Some(mut output) = output {
            // What was cut off is no result, and is read as none.
            let _ = output.read_to_end(&mut text).await;
        }
        Ok(())
    };
    // A reader that went away stops no restore: the application waits for its end.
    let told = async { carry(error, words).await.or(Ok(())) };
    let ended: Result<((), ()), Stop> = tokio::try_join!(read, told);
    ended?;
    let code = end(process, status).await?;
    Ok((code, String::from_utf8_lossy(&text).into_owned()))
}

/// Carries everything to and fro until the command ends.
async fn attend(mut process: AttachedProcess, keys: Option<&mut Keys>) -> Result<i32, Stop> {
    let raw = if keys.is_some() { Some(Raw::set().map_err(anyhow::Error::from)?) } else { None };
    let status = process.take_status();
    let (output, error) = (process.stdout(), process.stderr());
    let texts = async { tokio::try_join!(carry(output, Text::output()), carry(error, Text::error())) };
    let typing = async {
        match keys {
            Some(keys) => type_in(&mut process, keys).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = texts => ended.map(|_| ()),
        () = typing => Ok(()),
    };
    drop(raw);
    ended?;
    end(process, status).await
}

/// How the command ended.
async fn end(process: AttachedProcess, status: Option<impl Future<Output = Option<Status>>>) -> Result<i32, Stop> {
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    if let Some(status) = status {
        return Ok(exit_code(&status));
    }
    let lost = process.join().await.err().map(|e| format!(" ({})", api::chain(&e))).unwrap_or_default();
    Err(Stop::Failed(anyhow::anyhow!("the connection to the pod was lost{lost}")))
}

/// Carries text to the person, if somebody reads it.
async fn carry(from: Option<impl AsyncRead + Unpin>, to: Text) -> Result<(), Stop> {
    let Some(mut from) = from else { return Ok(()) };
    let mut buffer = vec![0; 8 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        if !to.put(buffer[..n].to_vec()).await {
            return Err(Stop::Signal(BROKEN_PIPE));
        }
    }
    to.flush().await;
    Ok(())
}

/// Carries keys and the window's size to the command; never ends.
async fn type_in(process: &mut AttachedProcess, keys: &mut Keys) {
    let (mut input, mut size) = (process.stdin(), process.terminal_size());
    let mut resized = signal(SignalKind::window_change()).ok();
    if let (Some(size), Some(window)) = (&mut size, window()) {
        // A command that has ended needs no size.
        let _ = size.send(window).await;
    }
    let mut open = true;
    loop {
        let next_size = async {
            match &mut resized {
                Some(resized) => resized.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            typed = keys.next(), if open => match (typed, &mut input) {
                (Some(bytes), Some(input)) => open = input.write_all(&bytes).await.is_ok(),
                // The end of input is not sent: a terminal has none but Ctrl-D.
                _ => open = false,
            },
            _ = next_size => if let (Some(size), Some(window)) = (&mut size, window()) {
                let _ = size.send(window).await;
            },
        }
    }
}

/// The exit code of a command, as the API server tells it.
pub(crate) fn exit_code(status: &Status) -> i32 {
    if status.status.as_deref() == Some("Success") {
        return 0;
    }
    let causes = status.details.as_ref().and_then(|d| d.causes.as_deref()).unwrap_or_default();
    let code = causes.iter().find(|c| c.reason.as_deref() == Some("ExitCode"));
    code.and_then(|c| c.message.as_deref()).and_then(|m| m.parse().ok()).unwrap_or(1)
}
