//! U11: people with few rights: what the plugin tells them fits, and what it advises helps.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use backup_controller_tests::{Controller, NewClaim, Scene, binaries};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::Api;
use kube::api::{ListParams, PostParams};
use model::roles::Role;
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::controller::with_disk;

const RUN: &str = "20260101T0000Z";

/// What the installation gives to people: it joins `view` and `edit`, and has roles of its own.
async fn roles(scene: &Scene) -> Result<()> {
    for file in ["view-role.yaml", "edit-role.yaml", "status-role.yaml"] {
        let text = std::fs::read_to_string(binaries::project().join("templates/install").join(file))?;
        for document in serde_yaml::Deserializer::from_str(&text) {
            let mut object = serde_json::to_value(serde_yaml::Value::deserialize(document)?)?;
            if let Some(namespace) = object.pointer_mut("/metadata/namespace") {
                *namespace = json!(scene.home);
            }
            scene.apply(&object).await?;
        }
    }
    Ok(())
}

/// Gives a role to a person; `None`: in the whole cluster.
async fn bind(scene: &Scene, user: &str, kind: &str, role: &str, namespace: Option<&str>) -> Result<()> {
    let group = "rbac.authorization.k8s.io";
    let binding = if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" };
    let mut object = json!({
        "apiVersion": format!("{group}/v1"), "kind": binding, "metadata": {"name": format!("{role}-{kind}-{user}")},
        "roleRef": {"apiGroup": group, "kind": kind, "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    });
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = json!(namespace);
    }
    scene.apply(&object).await.map(drop)
}

/// A person, as the API server sees him.
struct Person<'a> {
    scene: &'a Scene,
    user: String,
    kubeconfig: PathBuf,
}

/// How a command ended.
struct Told {
    code: Option<i32>,
    text: String,
}

impl<'a> Person<'a> {
    /// Somebody without any right.
    fn new(scene: &'a Scene, name: &str) -> Result<Self> {
        let user = format!("{name}-{}", scene.name);
        let mut config: Value = serde_json::to_value(serde_yaml::from_slice::<serde_yaml::Value>(&std::fs::read(
            scene.plane.kubeconfig_path(),
        )?)?)?;
        config["users"][0]["user"]["as"] = json!(user);
        let kubeconfig = scene.dir.join(format!("{user}.kubeconfig"));
        std::fs::write(&kubeconfig, config.to_string())?;
        Ok(Self { scene, user, kubeconfig })
    }

    /// Somebody with a role of Kubernetes in the tenant's namespace, who has what it contains.
    async fn with(scene: &'a Scene, role: &str) -> Result<Self> {
        let person = Self::new(scene, role)?;
        bind(scene, &person.user, "ClusterRole", role, Some(&scene.tenant)).await?;
        let (verb, resource) = if role == "view" {
            ("list", "volumesnapshots.snapshot.storage.k8s.io")
        } else {
            ("patch", "volumesnapshots.snapshot.storage.k8s.io")
        };
        let namespace = Some(scene.tenant.as_str());
        let may = async || Ok(person.may(verb, resource, None, namespace).await?.then_some(()));
        scene.wait(&format!("the role {role} is in force"), may).await?;
        Ok(person)
    }

    /// What the API server says of a right.
    async fn may(&self, verb: &str, resource: &str, name: Option<&str>, namespace: Option<&str>) -> Result<bool> {
        let (resource, subresource) = resource.split_once('/').map_or((resource, None), |(r, s)| (r, Some(s)));
        let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
        let attributes = ResourceAttributes {
            verb: Some(verb.to_owned()),
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: subresource.map(str::to_owned),
            name: name.map(str::to_owned),
            namespace: namespace.map(str::to_owned),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            user: Some(self.user.clone()),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let api: Api<SubjectAccessReview> = Api::all(self.scene.client.clone());
        let answer = api.create(&PostParams::default(), &review).await?;
        Ok(answer.status.context("a review without an answer")?.allowed)
    }

    fn call(&self, words: &str) -> Result<Told> {
        let output = Command::new(binaries::path("kubectl-backup")?)
            .args(words.split(' '))
            .args(["-n", &self.scene.tenant])
            .arg(format!("--kubeconfig={}", self.kubeconfig.display()))
            .args([format!("--instance={}", self.scene.name), format!("--backup-namespace={}", self.scene.home)])
            .output()?;
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        Ok(Told { code: output.status.code(), text })
    }

    /// Does what a message advises: the command behind `kubectl create`.
    async fn follow(&self, text: &str) -> Result<bool> {
        let mut advised = false;
        for command in text.split("kubectl create ").skip(1) {
            let words: Vec<&str> = command.split_whitespace().collect();
            let flag = |name: &str| words.iter().find_map(|word| word.strip_prefix(name));
            ensure!(flag("--user=") == Some(self.user.as_str()), "{text}");
            let role = flag("--clusterrole=").with_context(|| text.to_owned())?;
            let namespace = words.iter().position(|word| *word == "-n").and_then(|at| words.get(at + 1));
            let namespace = namespace.map(|n| n.trim_end_matches(|c: char| !c.is_alphanumeric()));
            ensure!(words[0] == if namespace.is_some() { "rolebinding" } else { "clusterrolebinding" }, "{text}");
            bind(self.scene, &self.user, "ClusterRole", role, namespace).await?;
            advised = true;
        }
        Ok(advised)
    }
}

/// The names of what restores make in the tenant's namespace.
async fn made(scene: &Scene) -> Result<BTreeSet<String>> {
    async fn names<K>(scene: &Scene) -> Result<Vec<String>>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
    {
        let list = scene.api::<K>(&scene.tenant).list(&ListParams::default()).await?;
        Ok(list
            .items
            .iter()
            .map(|object| format!("{} {}", K::plural(&()), object.meta().name.clone().unwrap_or_default()))
            .collect())
    }
    let all = [
        names::<Deployment>(scene).await?,
        names::<ConfigMap>(scene).await?,
        names::<PersistentVolumeClaim>(scene).await?,
    ];
    Ok(all.concat().into_iter().collect())
}

/// The installation, and a tenant's PVC with a restore point.
async fn installed(scene: &Scene) -> Result<Controller> {
    roles(scene).await?;
    let controller = with_disk(scene, "").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    scene.point(&claim, RUN, &[]).await?;
    scene.status_that("it is protected", &claim, |s| s.protected_since.is_some()).await?;
    Ok(controller)
}

#[tokio::test]
async fn each_role_that_is_advised_grants_what_messages_claim() -> Result<()> {
    let scene = Scene::new().await?;
    roles(&scene).await?;
    let (tenant, home) = (scene.tenant.as_str(), scene.home.as_str());
    for (role, kind, binding, place) in [
        (Role::View, "ClusterRole", Some(tenant), Some(tenant)),
        (Role::Edit, "ClusterRole", Some(tenant), Some(tenant)),
        (Role::View, "ClusterRole", None, None),
        (Role::Status, "ClusterRole", None, None),
        (Role::StatusAtHome, "Role", Some(home), Some(home)),
    ] {
        let all = if binding.is_none() { "all" } else { "one" };
        let person = Person::new(&scene, &format!("{role:?}-{all}").to_lowercase())?;
        let named = |verb: &str| (role == Role::StatusAtHome && verb == "get").then_some("backup-controller");
        bind(&scene, &person.user, kind, role.name(), binding).await?;
        for (verbs, resources) in role.rules() {
            for (verb, resource) in verbs.iter().flat_map(|verb| resources.iter().map(move |r| (*verb, *r))) {
                let what = format!("{kind} {} grants {verb} {resource}", role.name());
                let may = async || Ok(person.may(verb, resource, named(verb), place).await?.then_some(()));
                scene.wait(&what, may).await?;
                assert!(role.grants(verb, resource));
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn whoever_follows_the_advice_has_the_rights_that_a_command_takes() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = installed(&scene).await?;
    let restore = format!("restore data --date {RUN} -y --timeout 1s");
    let new = format!("restore data --date {RUN} --to fresh -y --timeout 1s");
    let hold = "hold data --date latest --for 1h".to_owned();
    let other = ["status", "list data", "why data", "status -A", "run data", "drill data"].map(str::to_owned);
    for (number, words) in other.into_iter().chain([restore, new, hold]).enumerate() {
        let person = Person::new(&scene, &format!("stranger{number}"))?;
        let mut steps = 0;
        let told = scene
            .wait(&format!("{words} needs no more advice"), async || {
                let told = person.call(&words)?;
                if person.follow(&told.text).await? {
                    steps += 1;
                    return Ok(None);
                }
                Ok(Some(told))
            })
            .await?;
        assert!(steps > 0, "{words}: {}", told.text);
        let lacking = told.text.lines().filter(|line| line.contains("lack permission"));
        // What the advice of a namespace does not contain is only needed to compute what the controller shows too.
        let other: Vec<&str> = lacking.filter(|line| !line.contains("backup-status")).collect();
        assert_eq!(other, Vec::<&str>::new(), "{words}: {}", told.text);
    }
    Ok(())
}

#[tokio::test]
async fn tenants_read_sentences_that_fit_their_roles() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = installed(&scene).await?;
    let restore = format!("restore data --date {RUN} -y --timeout 1s");

    let view = Person::with(&scene, "view").await?;
    for words in ["status", "list data", "why data"] {
        let told = view.call(words)?;
        ensure!(told.code == Some(0), "{words}: {:?} {}", told.code, told.text);
        for line in told.text.lines().filter(|line| line.contains("lack permission")) {
            assert!(!line.contains("the role view") && !line.contains("kubectl create"), "{words}: he has it: {line}");
            let at_home = format!("(the Role backup-status in namespace {} grants them)", scene.home);
            assert!(line.contains(&at_home) && line.contains("(the ClusterRole backup-status grants them)"), "{line}");
        }
    }
    let before = made(&scene).await?;
    for words in [restore.clone(), format!("restore data --date {RUN} --to fresh -y"), format!("{restore} --scale")] {
        let told = view.call(&words)?;
        let right = format!("in namespace {}. An administrator of the namespace can grant ", scene.tenant);
        let role = format!("--clusterrole=edit --user={} -n {}", view.user, scene.tenant);
        let sentence = told.text.lines().find(|line| line.contains("nothing was changed: you (")).unwrap_or_default();
        assert!(sentence.contains(&right) && sentence.contains(&role), "{words}: {}", told.text);
        assert_eq!(told.code, Some(3), "{}", told.text);
        assert!(!told.text.contains("cleanup") && !told.text.contains("created"), "{}", told.text);
    }
    assert_eq!(made(&scene).await?, before);
    for words in ["run data", "drill data", "hold data --date latest"] {
        let told = view.call(words)?;
        assert!(told.code == Some(1) && told.text.contains("--clusterrole=edit"), "{words}: {}", told.text);
    }

    for role in ["edit", "admin"] {
        let person = Person::with(&scene, role).await?;
        for words in ["run data", "drill data", "hold data --date latest --for 1h", "hold data --date latest --release"]
        {
            let told = person.call(words)?;
            ensure!(told.code == Some(0) && !told.text.contains("kubectl create"), "{role} {words}: {}", told.text);
        }
        // No kubelet runs the pod: it is asked for, awaited, and taken away.
        let told = person.call(&restore)?;
        let waited = told.text.contains("the restore pod was not ready in time");
        ensure!(told.code == Some(1) && waited && !told.text.contains("permission"), "{role}: {}", told.text);
    }
    assert_eq!(made(&scene).await?, before);
    let nobody = Person::new(&scene, "nobody")?;
    let told = nobody.call("status -A")?;
    if !told.text.contains("--clusterrole=view") || !told.text.contains("Name one namespace (-n NAMESPACE), or") {
        bail!("{}", told.text);
    }
    Ok(())
}
