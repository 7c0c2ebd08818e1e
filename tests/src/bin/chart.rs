//! `make chart`: writes the parts of the Helm chart that are made from `templates/install`.

use anyhow::{Context as _, Result};
use backup_controller_tests::chart;

fn main() -> Result<()> {
    for (path, text) in chart::files()? {
        let path = chart::folder().join(path);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        println!("{}", path.display());
    }
    Ok(())
}
