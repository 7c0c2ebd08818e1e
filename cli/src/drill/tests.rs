use model::reason::Reason;
use serde_json::{Value, json};

use super::*;
use crate::tests::fixture::{ALL, Objects, copied, now, source_id};
use crate::tests::server::{PVCS, Server, forbidden, serve};

fn drilled(drill: &Value) -> Objects {
    let mut all = Objects::new();
    let maintenance = json!({"disk": {"since": "2018-11-01T00:20:00Z", "drill": drill}});
    all.source("shop", "data", &json!({"protectedSince": "2018-11-01T00:10:00Z", "maintenance": maintenance}));
    all.point("shop", "data", "20181205T0317Z", &json!({"disk": copied("Complete", "2018-12-05T03:29:00Z")}));
    all
}

fn ended(state: &str, due: &str) -> Value {
    json!({
        "due": due, "state": state, "finished": "2018-12-05T12:01:00Z", "run": "20181205T0317Z", "files": 100,
        "bytes": 4096,
    })
}

fn followed(all: &Objects) -> Follow {
    let mut observed = all.observed(ALL);
    observed.knows.config = false;
    Follow::new(&observed, &all.only("data"), now())
}

/// What `--wait` ends with, if this is there once it looks.
fn waited(server: &Server, timeout: &str) -> Result<ExitCode, String> {
    let follow = followed(&drilled(&ended("Done", "20181204T0600Z")));
    assert_eq!(follow.names(), "disk");
    let ended = serve(async {
        let client = server.client();
        until_done(&client, "shop", vec![follow], timeout.parse().unwrap()).await
    });
    ended.map_err(|e| e.to_string())
}

#[test]
fn waiting_ends_with_the_drill_that_was_asked_for() {
    let server = |drill: &Value| Server::of(drilled(drill));
    assert_eq!(waited(&server(&ended("Done", "20181205T1200Z")), "20s"), Ok(ExitCode::SUCCESS));
    let mut found = ended("Failed", "20181205T1200Z");
    found["problem"] = json!({"reason": "RestoreMismatch", "message": "etc/passwd differs"});
    assert_eq!(waited(&server(&found), "20s"), Ok(ExitCode::from(ATTENTION)));
    // An earlier one says nothing of this.
    assert_eq!(waited(&server(&ended("Done", "20181205T0600Z")), "1s"), Ok(ExitCode::from(ATTENTION)));
    let refused = server(&found).refusing(PVCS, forbidden("watch"));
    assert!(waited(&refused, "20s").unwrap_err().ends_with("The drills continue"));
}

#[test]
fn the_end_of_a_drill_is_told_in_words() {
    let step = |drill: &Value| {
        let all = drilled(drill);
        let observed = all.observed(ALL);
        followed(&drilled(&ended("Done", "20181204T0600Z"))).step(observed.world.claims.get("shop", "data"))
    };
    assert_eq!(
        step(&ended("Done", "20181205T1200Z")),
        ["data: disk: restorable, proven on 2018-12-05: 100 files, 4Ki, run 20181205T0317Z"]
    );
    let mut found = ended("Failed", "20181205T1200Z");
    found["problem"] = json!({"reason": "RestoreMismatch", "message": "etc/passwd differs"});
    let help = Reason::RestoreMismatch.help();
    let said = format!("data: disk: RestoreMismatch: etc/passwd differs, run 20181205T0317Z. What to do: {help}");
    assert_eq!(step(&found), [said]);
    assert_eq!(followed(&drilled(&found)).step(None), ["data: the PVC is gone"]);
}

#[test]
fn what_is_not_drilled_is_refused_and_what_has_to_wait_is_told() {
    let all = drilled(&Value::Null);
    let follow = Follow::new(&all.observed(ALL), &all.only("data"), now());
    let error = are_drilled(&[follow]).unwrap_err().to_string();
    assert!(
        error.contains("no destination of PVC data is drilled") && error.contains("destinations[].drill"),
        "{error}"
    );
    let mut soon = ended("Done", "20181205T1130Z");
    soon["finished"] = json!("2018-12-05T11:31:00Z");
    let all = drilled(&soon);
    let notes = notes(&all.observed(ALL), &all.only("data"), now());
    assert!(notes[0].contains("TooSoon: the drill of disk starts in 31m: the newest one ended 29m ago"), "{notes:?}");
    let mut none = Objects::new();
    none.source("shop", "data", &json!({"protectedSince": "2018-11-01T00:10:00Z"}));
    let notes = super::notes(&none.observed(ALL), &none.only("data"), now());
    assert!(notes[0].contains("no complete copy yet"), "{notes:?}");
}

#[test]
fn only_the_annotation_of_the_pvc_that_was_seen_is_written() {
    let path = format!("{PVCS}/data");
    let answer = json!({"kind": "PartialObjectMetadata", "metadata": {}});
    let all = drilled(&Value::Null);
    let server = Server::of(all.clone()).refusing(&path, (200, answer));
    let at = now().to_string();
    serve(async { annotate(&server.client(), &all.only("data"), names::DRILL_NOW, &at).await }).unwrap();
    let uid = source_id("shop", "data").uid;
    assert_eq!(server.written(), [json!({"metadata": {"uid": uid, "annotations": {names::DRILL_NOW: at}}})]);
}
