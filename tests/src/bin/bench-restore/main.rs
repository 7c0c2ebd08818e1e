//! How long a restore takes on the two nodes: one file out of many, and a whole volume beside bare rsync. Printed as
//! measured in this run, beside the goals; nothing here fails because of a number.
//!
//! It expects the cluster and the images to be there (`make bench-restore` sees to that).

mod one_file;
mod whole;

use std::process::ExitCode;

use anyhow::Result;
use backup_controller_tests::figures::Table;
use backup_controller_tests::nodes::{self, App, Files};
use dev_cluster::Cluster;

const NAMESPACE: &str = "bench-restore";

/// In a hundred folders.
const FILES: &str = "for d in {1..100}; do
    mkdir -p /data/many/$d; for n in {1..1000}; do echo file $d $n > /data/many/$d/f-$n; done; done; sync -f /data";

#[tokio::main]
async fn main() -> ExitCode {
    match measure().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-restore: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<()> {
    let cluster = Cluster::existing()?;
    let kubectl = cluster.kubectl();
    nodes::install(kubectl, "dev")?;
    kubectl.run(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s"])?;
    eprintln!("==> a volume with 100,000 files more than a Debian has, and its snapshot");
    let app = App::create_quiet(kubectl, NAMESPACE, "shared", Files::Many)?;
    app.sh(FILES)?;
    app.back_up(&[])?;
    let mut table = Table::default();
    eprintln!("==> one file, {} times", one_file::TIMES);
    one_file::measure(&mut table, &app, kubectl).await?;
    eprintln!("==> the whole volume, {} times, and by rsync alone", whole::PAIRS);
    whole::measure(&mut table, &app)?;
    print!("{table}");
    app.delete()
}
