//! What a copy's pod is told of what was there before (law 12).

use model::config::{Config, Destination};
use model::names::Run;
use model::plan::{Copy, Expected, Left};

use crate::{Templates, samples};

fn run(text: &str) -> Run {
    text.parse().unwrap()
}

/// The arguments of a copy's pod that say what is expected.
fn told(destination: &Destination, expected: &Expected) -> Vec<String> {
    let config = Config::default();
    let copy = Copy { expected: expected.clone(), ..samples::copy(&config, destination) };
    let job = Templates::embedded().copy_job(&samples::install(), &config, destination, &copy).unwrap();
    let args = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    let args = args.iter().map(|arg| arg.as_str().unwrap().to_owned());
    args.filter(|arg| arg.starts_with("--expect") || arg.starts_with("--filled")).collect()
}

#[test]
fn a_first_copy_is_told_to_expect_nothing() {
    for destination in [samples::claim(), samples::host(), samples::restic(), samples::crypt(), samples::central()] {
        assert!(told(&destination, &Expected::default()).is_empty(), "{}", destination.name);
    }
}

#[test]
fn a_pod_is_told_what_earlier_copies_left() {
    let filled = Some(run("20181202T0000Z"));
    for destination in [samples::restic(), samples::crypt(), samples::crypt_host(), samples::central()] {
        for (id, word) in [(None, "any"), (Some("0123456789abcdef"), "0123456789abcdef")] {
            let left = Left::Repository(id.map(str::to_owned));
            let args = told(&destination, &Expected { filled: filled.clone(), left });
            assert_eq!(args, ["--filled=20181202T0000Z", &format!("--expect-repository={word}")]);
        }
    }
    for destination in [samples::claim(), samples::host()] {
        let left = Left::Trees(vec![run("20181202T0000Z"), run("20181201T0000Z")]);
        let args = told(&destination, &Expected { filled: None, left });
        assert_eq!(args, ["--expect-tree=20181202T0000Z", "--expect-tree=20181201T0000Z"]);
    }
}
