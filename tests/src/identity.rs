//! Service accounts with the rights that the install manifests give, and no others.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::binaries::{self, project};
use crate::scene::Scene;

/// Who a program is to the API server.
#[derive(Debug, Clone)]
pub struct Identity {
    /// As it stands in the audit log: `system:serviceaccount:<namespace>:<name>`.
    pub user: String,
    /// With its token.
    pub kubeconfig: PathBuf,
}

impl Scene {
    /// The service account `name` in the scene's own namespace, with the roles of a file of
    /// `templates/install`. `trim` may take rights away: it gets each rule.
    pub async fn identity(&self, name: &str, file: &str, trim: impl Fn(&mut Value)) -> Result<Identity> {
        let path = project().join("templates/install").join(file);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        self.apply(&json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": self.home},
        }))
        .await?;
        for document in text.split("\n---\n") {
            let mut object: Value = serde_yaml::from_str::<serde_yaml::Value>(document)
                .ok()
                .and_then(|v| serde_json::to_value(v).ok())
                .with_context(|| format!("{file} has a document that is no YAML"))?;
            self.at_home(&mut object);
            object.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten().for_each(&trim);
            self.apply(&object).await?;
        }
        let kubeconfig = self.token(name).await?;
        Ok(Identity { user: format!("system:serviceaccount:{}:{name}", self.home), kubeconfig })
    }

    /// Puts the guard (a file of `templates/install/guard`) over an identity, and waits until it is in force.
    pub async fn guard(&self, identity: &Identity, file: &str) -> Result<()> {
        let path = project().join("templates/install/guard").join(file);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let account = identity.user.rsplit(':').next().unwrap_or_default();
        for document in text.split("\n---\n") {
            let mut object: Value = serde_yaml::from_str::<serde_yaml::Value>(document)
                .ok()
                .and_then(|v| serde_json::to_value(v).ok())
                .with_context(|| format!("{file} has a document that is no YAML"))?;
            self.at_home(&mut object);
            if let Some(name) = object.pointer_mut("/spec/policyName") {
                *name = json!(format!("{}-{}", name.as_str().unwrap_or_default(), self.name));
            }
            let conditions = object.pointer_mut("/spec/matchConditions").and_then(Value::as_array_mut);
            for condition in conditions.into_iter().flatten() {
                let text = condition["expression"].as_str().unwrap_or_default();
                let text = text.replace("['backup'].exists", &format!("['{}'].exists", self.name));
                condition["expression"] = json!(text.replace("'backup'", &format!("'{}'", self.home)));
            }
            for variable in object.pointer_mut("/spec/variables").and_then(Value::as_array_mut).into_iter().flatten() {
                let text = variable["expression"].as_str().unwrap_or_default();
                let value = match variable["name"].as_str() {
                    Some("byController" | "byJob") => {
                        variable["expression"] = json!(text.replace("'backup'", &format!("'{}'", self.home)));
                        continue;
                    }
                    Some("instance") => self.name.clone(),
                    Some("home") => self.home.clone(),
                    Some("hostDisks") => format!("/srv/{}", self.name),
                    Some("controllerImage") => binaries::CONTROLLER_IMAGE.to_owned(),
                    Some("moverImage") => binaries::MOVER_IMAGE.to_owned(),
                    _ => continue,
                };
                variable["expression"] = json!(format!("'{value}'"));
            }
            self.apply(&object).await?;
        }
        // Something that RBAC allows and no guard does.
        let client = api::connect(Some(&identity.kubeconfig)).await?;
        let probe = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "guard-probe", "namespace": self.tenant},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        });
        let probe: k8s_openapi::api::core::v1::PersistentVolumeClaim = serde_json::from_value(probe)?;
        let claims: kube::Api<k8s_openapi::api::core::v1::PersistentVolumeClaim> =
            kube::Api::namespaced(client, &self.tenant);
        let params = kube::api::PostParams { dry_run: true, ..kube::api::PostParams::default() };
        self.wait(&format!("the guard of {account} is in force"), async || match claims.create(&params, &probe).await {
            Ok(_) => Ok(None),
            Err(error) if error.to_string().contains("ValidatingAdmissionPolicy") => Ok(Some(())),
            Err(error) => Err(error.into()),
        })
        .await
    }

    /// The installation's namespace is the scene's; names of the cluster's objects are the scene's own.
    fn at_home(&self, object: &mut Value) {
        let renamed = |name: &Value| json!(format!("{}-{}", name.as_str().unwrap_or_default(), self.name));
        if let Some(namespace) = object.pointer_mut("/metadata/namespace") {
            *namespace = json!(self.home);
        } else if let Some(name) = object.pointer_mut("/metadata/name") {
            *name = renamed(name);
        }
        let of_cluster = object.pointer("/roleRef/kind").is_some_and(|k| k == "ClusterRole");
        if let Some(name) = object.pointer_mut("/roleRef/name").filter(|_| of_cluster) {
            *name = renamed(name);
        }
        for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
            subject["namespace"] = json!(self.home);
        }
    }

    /// A kubeconfig with a new token of a service account in the scene's own namespace.
    async fn token(&self, name: &str) -> Result<PathBuf> {
        use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
        use k8s_openapi::api::core::v1::ServiceAccount;
        let accounts: kube::Api<ServiceAccount> = kube::Api::namespaced(self.client.clone(), &self.home);
        let request = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() },
            ..TokenRequest::default()
        };
        let answer = accounts.create_token_request(name, &kube::api::PostParams::default(), &request).await?;
        let token = answer.status.context("a token request without a token")?.token;
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{"name": "it", "cluster": {
                "server": self.plane.url(), "certificate-authority": self.plane.ca_path(),
            }}],
            "users": [{"name": "it", "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        });
        let path = self.dir.join(format!("{name}.kubeconfig"));
        std::fs::write(&path, config.to_string())?;
        Ok(path)
    }
}
