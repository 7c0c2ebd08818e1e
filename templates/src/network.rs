//! What keeps the pods of copies and restores off the network, but those that reach a repository by it.

use model::config::PodType;
use model::names::{self, Component};
use serde_json::{Value, json};

use crate::check::{Kind, Pin};
use crate::engine::{Template, Templates};
use crate::error::RenderError;
use crate::install::Install;
use crate::order::{Marks, Order, values};

pub(crate) fn policy(templates: &Templates, install: &Install, namespace: &str) -> Result<Value, RenderError> {
    let offline = [Component::Copy, Component::Restore, Component::Maintain].map(Component::as_str);
    let online: Vec<&str> = PodType::on_network().collect();
    let selector = json!({
        "matchLabels": {names::MANAGED_BY: names::MANAGER, names::INSTANCE: install.instance},
        "matchExpressions": [
            {"key": names::COMPONENT, "operator": "In", "values": offline},
            // What is reached over the network needs it.
            {"key": names::DESTINATION_TYPE, "operator": "NotIn", "values": online},
        ],
    });
    let mut marks = Marks::new(&install.instance, Component::Policy);
    marks.label(names::DESTINATION_TYPE, names::DISK);
    Order {
        template: Template::NetworkPolicy,
        kind: Kind::NetworkPolicy,
        name: names::network_policy(&install.instance),
        namespace: Some(namespace.to_owned()),
        marks,
        values: values! {
            "podSelector": selector,
        },
        // It keeps our pods off the network, and nobody else's. What is let through is the administrator's to say.
        pins: vec![
            Pin::exactly("/spec/podSelector", selector),
            Pin::exactly("/spec/policyTypes", json!(["Ingress", "Egress"])),
        ],
        pod: None,
    }
    .render(templates)
}
