//! `kubectl backup template process`: a Template's objects, for `kubectl apply -f -` and `kubectl delete -f -`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use model::names::{self, Instance};
use serde_json::Value;

use super::{Parameter, Template, yaml};
use crate::flags::Cluster;
use crate::table::{self, Columns, Look, none};
use crate::terminal;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Template: a file, - for standard input, or restore for the built-in Template
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    pub(super) given: Given,
    /// Output format
    #[arg(short, long, value_enum, default_value = "yaml", value_name = "FORMAT")]
    output: Format,
    /// Only list the parameters of the Template
    #[arg(long)]
    parameters: bool,
}

/// The parameters that were given.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Given {
    /// Value of a parameter; may be repeated
    #[arg(short = 'p', long = "param", value_name = "NAME=VALUE")]
    pub(crate) params: Vec<String>,
    /// File with one NAME=VALUE on each line; -p takes precedence
    #[arg(long, value_name = "FILE")]
    pub(crate) param_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Yaml,
    Json,
}

impl Format {
    pub(super) fn text(self, value: &Value) -> anyhow::Result<String> {
        Ok(match self {
            Self::Yaml => yaml::text(value),
            Self::Json => serde_json::to_string_pretty(value)? + "\n",
        })
    }
}

pub(crate) fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let template = load(&args.file, &cluster.instance)?;
    let text = if args.parameters {
        parameters(&template.parameters)
    } else {
        args.output.text(&template.process(&args.given.values()?)?.list)?
    };
    terminal::write(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The template of that name, or in that file. OpenShift's way to name one, `NAMESPACE/restore`, means the one that
/// is built in.
pub(super) fn load(name: &str, instance: &Instance) -> anyhow::Result<Template> {
    let is_built_in = name == "restore" || name.split_once('/').is_some_and(|(ns, n)| n == "restore" && ns != ".");
    if is_built_in {
        return restore(instance);
    }
    let text = if name == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        text
    } else {
        std::fs::read_to_string(name).with_context(|| {
            format!("cannot read {name} (write a file, - for standard input, or restore for the built-in Template)")
        })?
    };
    Template::parse(&text)
}

/// The built-in template of a restore, for an installation of that name.
pub(crate) fn restore(instance: &Instance) -> anyhow::Result<Template> {
    let mut template = Template::parse(templates::RESTORE_TEMPLATE)?;
    for object in &mut template.objects {
        name_instance(object, instance);
    }
    Ok(template)
}

fn name_instance(value: &mut Value, instance: &Instance) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if key == names::INSTANCE {
                    *value = Value::from(instance.as_str());
                }
                name_instance(value, instance);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| name_instance(item, instance)),
        _ => {}
    }
}

impl Given {
    /// The values by name.
    pub(super) fn values(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut values = match &self.param_file {
            Some(path) => from_file(path)?,
            None => BTreeMap::new(),
        };
        let mut given = BTreeMap::new();
        for text in &self.params {
            let (name, value) = pair(text).ok_or_else(|| anyhow!("-p {text} has no '=': write -p NAME=VALUE"))?;
            if given.insert(name.clone(), value).is_some() {
                bail!("-p {name} is given twice: remove one");
            }
        }
        values.extend(given);
        Ok(values)
    }
}

fn from_file(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read --param-file {}", path.display()))?;
    let lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| pair(line).ok_or_else(|| anyhow!("{}: '{line}' has no '=': write NAME=VALUE", path.display())))
        .collect()
}

fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    Some((name.trim().to_owned(), value.to_owned()))
}

fn parameters(parameters: &[Parameter]) -> String {
    let columns: Columns<Parameter> = vec![
        ("NAME", |p, _| p.name.clone()),
        ("REQUIRED", |p, _| if p.required { "yes" } else { "no" }.to_owned()),
        ("GENERATE", |p, _| if p.generate.is_empty() { none() } else { p.from.clone() }),
        ("VALUE", |p, _| if p.value.is_empty() { none() } else { p.value.clone() }),
        ("DESCRIPTION", |p, _| p.description.clone()),
    ];
    let look = Look { namespaces: false, wide: false, headers: true, width: terminal::width() };
    table::table(columns, &["GENERATE"], parameters, look, model::Timestamp::UNIX_EPOCH)
}

/// What `--help` has below the flags.
pub(crate) const HELP: &str = "\
Processes the Template as `oc process --local` does, without OpenShift and without the cluster:
  - ${NAME} in any text or key is replaced by the value of the parameter; ${{NAME}} keeps its type, such as a number
  - `generate: expression` makes a random value
  - the labels of the Template are added to each object

Examples:
  # List the parameters of the built-in Template
  kubectl backup template process restore --parameters
  # Create the restore pod of PVC data of 2 December 2018, and delete it again
  kubectl backup template process restore -p NAME=data -p DATE=20181202 | kubectl apply -f -
  kubectl backup template process restore -p NAME=data -p DATE=20181202 | kubectl delete -f -
  # Process your own Template
  kubectl backup template process app.yaml -p NAME=shop --param-file=prod.env | kubectl apply -f -

The name backup/restore, as OpenShift writes it, selects the built-in Template too. ./restore is a file.

Exit codes:
  0  done
  1  the Template cannot be read, a parameter is unknown, or a required parameter is missing
  2  the command line is wrong";

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, instance: &str, params: &[&str]) -> anyhow::Result<Vec<Value>> {
        let given = Given { params: params.iter().map(|p| (*p).to_owned()).collect(), param_file: None };
        Ok(load(name, &instance.into())?.process(&given.values()?)?.objects().to_vec())
    }

    /// The words of the origin: `oc new-app --template=backup/restore -p NAME=mypvc -p DATE=20181202`.
    #[test]
    fn the_built_in_template_asks_for_a_restore_that_can_be_read() {
        for name in ["restore", "backup/restore"] {
            let objects = made(name, "prod", &["NAME=mypvc", "DATE=20181202"]).unwrap();
            let kinds: Vec<&str> = objects.iter().filter_map(|o| o["kind"].as_str()).collect();
            assert_eq!(kinds, ["ConfigMap", "Deployment"]);
            let deployment = &objects[1];
            let asked = deployment["metadata"]["annotations"][names::RESTORE_FROM].as_str().unwrap();
            let request: model::restore::Request = asked.parse().unwrap();
            assert_eq!((request.pvc.as_str(), request.when.to_string().as_str()), ("mypvc", "20181202"));
            assert_eq!(deployment["metadata"]["labels"][names::INSTANCE], "prod");
            assert_eq!(deployment["spec"]["template"]["metadata"]["labels"][names::INSTANCE], "prod");
        }
        let error = made("restore", "backup", &["DATE=latest"]).unwrap_err().to_string();
        assert!(error.contains("NAME"), "{error}");
    }

    #[test]
    fn parameters_of_a_file_are_read_and_flags_come_first() {
        let path = std::env::temp_dir().join(format!("params-{}", std::process::id()));
        std::fs::write(&path, "# words\n\nNAME=a=b\n DATE = x\n").unwrap();
        let mut given = Given { params: vec!["DATE=y".into()], param_file: Some(path.clone()) };
        let values = given.values().unwrap();
        assert_eq!((values["NAME"].as_str(), values["DATE"].as_str()), ("a=b", "y"));
        given.params = vec!["A=1".into(), "A=2".into()];
        assert!(given.values().unwrap_err().to_string().contains("twice"));
        given.params = vec!["A".into()];
        assert!(given.values().unwrap_err().to_string().contains("NAME=VALUE"));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = format!("{:#}", load("./restore", &"backup".into()).unwrap_err());
        assert!(error.contains("cannot read ./restore"), "{error}");
    }
}
