//! The Jobs of tasks.

use model::config::Config;
use model::maintain::Part;
use model::names::Run;
use model::plan::{Maintain, Work};
use serde_json::Value;

use crate::{Templates, samples};

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A group's PVCs lie in a repository that the destination's own Secret may not open, or in another's.
#[test]
fn a_task_reads_the_secret_that_its_copies_were_written_with() {
    let (config, restic) = (Config::default(), samples::restic());
    let task = Maintain {
        source: samples::source(),
        destination: restic.name.clone(),
        due: Run::at("2018-12-09T04:27:00Z".parse().unwrap()),
        work: Work::Verify(Part { number: 1, of: 30 }),
        options: samples::protection(&config).options,
        secret: Some("gold-s3".to_owned()),
        isolate: false,
    };
    let job = Templates::embedded().maintain_job(&samples::install(), &config, &restic, &task).unwrap();
    let pod = &job["spec"]["template"]["spec"];
    let volumes = pod["volumes"].as_array().unwrap();
    let secret = volumes.iter().find_map(|v| v["secret"]["secretName"].as_str());
    assert_eq!(secret, Some("gold-s3"));
    let args = strings(&pod["containers"][0]["args"]);
    assert!(args.contains(&"--secret-name=shop/gold-s3"), "{args:?}");
}
