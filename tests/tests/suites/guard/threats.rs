//! What the threat model of docs/safety.md says of each account, where no other test tries it: whoever acts here has the
//! rights that the page gives him, and the guard is on.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};
use model::names;
use serde_json::{Value, json};

use crate::guard::stage::{Actor, RESERVED, Stage, Verb};

/// What RBAC says of what nobody granted.
const NO_RIGHT: &str = "cannot";

fn map(name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "backup", "labels": labels}, "data": {"ledger.json": "{}"},
    })
}

/// The ledgers decide, the configuration selects, the Secrets open the repositories, and pods there have our account.
#[tokio::test]
async fn a_tenant_reaches_nothing_of_the_controllers_namespace() -> Result<()> {
    let stage = Stage::new("reaches").await?;
    let ledger = map("ledger-reaches", &json!({names::INSTANCE: "backup", names::COMPONENT: "ledger"}));
    let settings = map("settings-reaches", &json!({}));
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3-reaches", "namespace": "backup"}});
    let mut cronjob = stage.fixture("cronjob")?;
    cronjob["metadata"]["name"] = json!("backup-reaches");
    for object in [&ledger, &settings, &secret, &cronjob] {
        stage.has(object).await?;
    }
    let changed = || Verb::Merge(json!({"metadata": {"annotations": {"a": "b"}}}));
    let mut job = stage.fixture("keeper")?;
    job["metadata"]["name"] = json!("reaches");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "reaches", "namespace": "backup"},
        "spec": {"serviceAccountName": "backup-controller", "containers": [{"name": "c", "image": "i"}]},
    });
    let (content, volume) = (stage.fixture("central-content")?, stage.fixture("disk-volume")?);
    for actor in [Actor::Tenant, Actor::TenantsProgram, Actor::Owner] {
        for (what, object) in [("a ledger", &ledger), ("a setting", &settings), ("a CronJob", &cronjob)] {
            stage.refused(what, actor, changed(), object, NO_RIGHT).await?;
            stage.refused(what, actor, Verb::Delete, object, NO_RIGHT).await?;
        }
        stage.refused("a Secret is read", actor, Verb::Read, &secret, NO_RIGHT).await?;
        for (what, object) in [
            ("a Job of ours", &job),
            ("a pod with our account", &pod),
            ("a content over any snapshot", &content),
            ("a volume of a host", &volume),
        ] {
            stage.refused(what, actor, Verb::Create, object, NO_RIGHT).await?;
        }
    }
    Ok(())
}

/// S12: a wildcard role lets a tenant be each account of his namespace, and give accounts the names of ours.
#[tokio::test]
async fn no_account_of_a_tenants_namespace_passes_for_one_of_ours() -> Result<()> {
    let stage = Stage::new("impostor").await?;
    let space = stage.namespace.clone();
    let names = ["owner", "backup-controller", "backup-job", "job-controller"];
    for name in names {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": space},
        });
        stage.passes("an account", Actor::Owner, Verb::Create, &account).await?;
    }
    let subjects: Vec<Value> = names.map(|n| json!({"kind": "ServiceAccount", "name": n, "namespace": space})).into();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "accounts", "namespace": space}, "subjects": subjects,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "everything"},
    });
    stage.passes("their rights", Actor::Owner, Verb::Create, &binding).await?;
    let (promoter, job, mine) = (stage.fixture("promoter")?, stage.fixture("copy")?, stage.claim("mine"));
    let refuses = async |what: &str, client: &Client, object: &Value, words: &str| -> Result<()> {
        match stage.acts(client, &Verb::Try, object).await {
            Ok(()) => bail!("was allowed: {what}"),
            Err(error) if format!("{error:#}").contains(words) => Ok(()),
            Err(error) => bail!("{what}: refused, but not with {words:?}: {error:#}"),
        }
    };
    for name in names {
        let client = stage.account(name, None).await?;
        stage.comes("his rights", async || stage.acts(&client, &Verb::Try, &mine).await).await?;
        refuses(name, &client, &promoter, RESERVED).await?;
        refuses(name, &client, &job, RESERVED).await?;
    }
    let user = format!("system:serviceaccount:{space}:backup-controller");
    let client = stage.account("owner", Some((&user, &[]))).await?;
    stage.acts(&client, &Verb::Try, &mine).await.context("he is each account of his namespace")?;
    refuses("the same name", &client, &promoter, RESERVED).await?;
    for (user, groups) in [
        ("system:serviceaccount:backup:backup-controller", &[][..]),
        ("system:serviceaccount:backup:backup-job", &[]),
        ("system:serviceaccount:kube-system:job-controller", &[]),
        ("system:kube-controller-manager", &[]),
        (&user, &["system:masters"]),
    ] {
        let client = stage.account("owner", Some((user, groups))).await?;
        refuses(user, &client, &promoter, "cannot impersonate").await?;
    }
    let owner = stage.account("owner", None).await?;
    let token = async |namespace: &str| {
        let accounts: Api<ServiceAccount> = Api::namespaced(owner.clone(), namespace);
        accounts.create_token_request("backup-controller", &PostParams::default(), &TokenRequest::default()).await
    };
    token(&space).await.context("a token of his own")?;
    let error = token("backup").await.err().context("a token of ours")?;
    ensure!(error.to_string().contains(NO_RIGHT), "{error}");
    Ok(())
}

/// Whoever has one of our tokens does not get more of it: no other right, no Secret, and no end of the guard.
#[tokio::test]
async fn neither_account_reads_a_secret_or_changes_its_rights_or_the_guard() -> Result<()> {
    let stage = Stage::new("rights").await?;
    let group = "rbac.authorization.k8s.io";
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine", "namespace": stage.namespace}});
    stage.has(&secret).await?;
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "more-rights"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "backup-job", "namespace": "backup"}],
    });
    let role = json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": "backup-controller"}, "rules": [],
    });
    let policy = |name: &str, kind: &str| json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}});
    for actor in [Actor::Controller, Actor::Job] {
        stage.refused("a Secret is read", actor, Verb::Read, &secret, NO_RIGHT).await?;
        stage.refused("another right", actor, Verb::Create, &binding, NO_RIGHT).await?;
        stage.refused("its role", actor, Verb::Merge(json!({"rules": []})), &role, NO_RIGHT).await?;
        for name in ["backup-controller", "backup-labels"] {
            for kind in ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] {
                stage.refused(kind, actor, Verb::Delete, &policy(name, kind), NO_RIGHT).await?;
            }
        }
    }
    Ok(())
}

/// What runs as our programs in a tenant's namespace, be it an image that somebody replaced: no account, no capability
/// beyond those that files need, and nothing of the node.
#[tokio::test]
async fn no_pod_of_ours_in_a_tenants_namespace_has_an_account_or_anything_of_its_node() -> Result<()> {
    let stage = Stage::new("powerless").await?;
    for name in ["copy", "copy-restic", "maintain-drill", "restore-job", "restore"] {
        let object = stage.fixture(name)?;
        let pod = object.pointer("/spec/template/spec").context("no pod")?;
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert!(pod["serviceAccountName"].is_null(), "{name}");
        for of_the_host in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(!pod[of_the_host].as_bool().unwrap_or_default(), "{name}");
        }
        let volumes = pod["volumes"].as_array().context("no volumes")?;
        assert!(volumes.iter().all(|v| v["hostPath"].is_null()), "{name}");
        let secured = pod.pointer("/containers/0/securityContext").context("not secured")?;
        assert_eq!(secured["capabilities"]["drop"], json!(["ALL"]), "{name}");
        assert_eq!(secured["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(secured["readOnlyRootFilesystem"], true, "{name}");
    }
    // And the guard refuses more, even of the account that makes them.
    let mut privileged = stage.fixture("copy")?;
    privileged["metadata"]["name"] = json!("x");
    privileged["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = json!(true);
    privileged["spec"]["template"]["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] =
        Value::Null;
    stage.refused("more", Actor::Controller, Verb::Create, &privileged, "must not be privileged").await
}
