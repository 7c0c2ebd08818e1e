//! Between a program and the API server: counts what goes over the wire, encrypted as it is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Bytes in both directions since the start.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// From the program.
    pub(crate) sent: AtomicU64,
    /// From the API server.
    pub(crate) received: AtomicU64,
}

/// Starts one, and writes the kubeconfig that leads through it.
pub(crate) async fn start(url: &str, kubeconfig: &Path) -> Result<(Arc<Wire>, PathBuf)> {
    let to: SocketAddr = url.trim_start_matches("https://").parse()?;
    let listener = TcpListener::bind((to.ip(), 0)).await?;
    let port = listener.local_addr()?.port();
    let wire = Arc::new(Wire::default());
    let counted = wire.clone();
    tokio::spawn(async move {
        while let Ok((from, _)) = listener.accept().await {
            tokio::spawn(carry(from, to, counted.clone()));
        }
    });
    let text = std::fs::read_to_string(kubeconfig)?;
    let path = kubeconfig.with_extension("counted");
    std::fs::write(&path, text.replace(url, &format!("https://{}:{port}", to.ip())))?;
    Ok((wire, path))
}

async fn carry(from: TcpStream, to: SocketAddr, wire: Arc<Wire>) {
    let Ok(to) = TcpStream::connect(to).await else { return };
    let (_, _) = (from.set_nodelay(true), to.set_nodelay(true));
    let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
    tokio::join!(pour(from_read, to_write, &wire.sent), pour(to_read, from_write, &wire.received));
}

async fn pour(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, counter: &AtomicU64) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        counter.fetch_add(read as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
