//! Compiles everything once, and finds out where the test programs are.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The cargo that runs us, or the one on the search path.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A compiled test program.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// The package it belongs to.
    pub(crate) package: String,
    /// Its name: of the library, the program or the file in `tests` that it tests.
    pub(crate) name: String,
    /// The package's folder, in which it runs as under `cargo test`.
    pub(crate) folder: PathBuf,
    /// Where it is.
    pub(crate) path: PathBuf,
}

/// What was compiled.
#[derive(Debug, Default)]
pub(crate) struct Built {
    pub(crate) tests: Vec<Program>,
    /// The folder of the programs themselves.
    pub(crate) programs: PathBuf,
}

impl Built {
    /// The test programs of a package.
    pub(crate) fn of(&self, package: &str) -> impl Iterator<Item = &Program> {
        self.tests.iter().filter(move |test| test.package == package)
    }
}

/// Compiles all tests and all programs with the features of the whole workspace. What is compiled with those of single
/// packages is another build of most dependencies.
pub(crate) fn build() -> Result<Built> {
    let output = Command::new(cargo())
        .args(["build", "--quiet", "--workspace", "--all-targets", "--message-format=json-render-diagnostics"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo: {}", output.status);
    }
    read(&String::from_utf8_lossy(&output.stdout))
}

/// Reads cargo's messages, one JSON object a line.
fn read(messages: &str) -> Result<Built> {
    let mut built = Built::default();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).context("cargo wrote a line that is no JSON")?;
        let Some(path) = message["executable"].as_str().map(PathBuf::from) else { continue };
        if message["profile"]["test"] == true {
            built.tests.push(program(&message, path).context("cargo described a test program in another form")?);
        } else if message["target"]["name"] == "backup-controller" {
            path.parent().context("a program in no folder")?.clone_into(&mut built.programs);
        }
    }
    if built.tests.is_empty() || built.programs.as_os_str().is_empty() {
        bail!(
            "cargo compiled {} test programs, and the controller in \"{}\"",
            built.tests.len(),
            built.programs.display()
        );
    }
    Ok(built)
}

fn program(message: &Value, path: PathBuf) -> Option<Program> {
    let manifest = PathBuf::from(message["manifest_path"].as_str()?);
    Some(Program {
        package: package(message["package_id"].as_str()?).to_owned(),
        name: message["target"]["name"].as_str()?.to_owned(),
        folder: manifest.parent()?.to_owned(),
        path,
    })
}

/// The package's name in its id: `path+file:///a/jobs#backup-job@0.1.0`, or `…/model#0.1.0` where the folder has it.
fn package(id: &str) -> &str {
    let (source, rest) = id.rsplit_once('#').unwrap_or(("", id));
    match rest.split_once('@') {
        Some((name, _)) => name,
        None => source.rsplit('/').next().unwrap_or(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_known_by_its_id() {
        assert_eq!(package("path+file:///a/jobs#backup-job@0.1.0"), "backup-job");
        assert_eq!(package("path+file:///a/model#0.1.0"), "model");
    }

    #[test]
    fn test_programs_are_told_from_programs() {
        let test = r#"{"package_id":"path+file:///a/model#0.1.0","manifest_path":"/a/model/Cargo.toml","target":{"name":"suites"},
            "profile":{"test":true},"executable":"/t/debug/deps/suites-1"}"#;
        let program = r#"{"package_id":"path+file:///a/c#backup-controller@0.1.0","manifest_path":"/a/c/Cargo.toml",
            "target":{"name":"backup-controller"},"profile":{"test":false},"executable":"/t/debug/backup-controller"}"#;
        let library = r#"{"reason":"build-finished","success":true}"#;
        let messages = [test, program, library].map(|text| text.replace('\n', "")).join("\n");
        let built = read(&messages).unwrap();
        let suites: Vec<&Program> = built.of("model").collect();
        assert_eq!((suites.len(), suites[0].name.as_str(), suites[0].folder.to_str()), (1, "suites", Some("/a/model")));
        assert_eq!(built.programs.to_str(), Some("/t/debug"));
        assert!(read(library).is_err(), "nothing was compiled");
    }
}
