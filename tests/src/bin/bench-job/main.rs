//! What the programs weigh, and what one run costs: printed as measured in this run, beside the goals.
//!
//! `make bench-job` builds what is shipped and calls this with `BACKUP_BINARIES`. The API server is a real
//! one on this machine; the programs have the two service accounts with the roles that are installed; the
//! test plays storage and kubelet. Nothing here fails because of a number.

mod memory;
mod run;
mod sizes;
mod speed;

use std::process::ExitCode;

use anyhow::Result;
use backup_controller_tests::Scene;
use backup_controller_tests::figures::Table;

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(measure()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-job: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<()> {
    let mut table = Table::default();
    sizes::measure(&mut table)?;
    eprintln!("==> a control plane starts");
    let scene = Scene::new().await?;
    let storage = tokio::spawn(run::storage(scene.client.clone()));
    eprintln!("==> a controller with {} PVCs", memory::CLAIMS);
    let mut controller = memory::measure(&mut table, &scene).await?;
    eprintln!("==> one whole run");
    let source = Box::pin(run::measure(&mut table, &scene, &controller)).await?;
    eprintln!("==> {} runs, from exec to snapshot", speed::RUNS);
    controller.kill();
    speed::measure(&mut table, &scene, &source).await?;
    storage.abort();
    print!("{table}");
    Ok(())
}
