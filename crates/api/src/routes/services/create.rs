//! `POST /services`: a new plan of the catalogue.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::{AnyCommand, PlanCommand};
use minispod_events::{Capacity, PlanDetails};
use minispod_kernel::Rupiah;
use serde_json::Value;

use super::{Written, form, refusal, settle};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, body: RequestBody) -> Result {
    caller.may(Action::ManageCatalogue)?;
    let body = body.json().await?;
    let new = New::read(&body.value)?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let id = call.new_id(&state, "plan", &caller.user.id);
    let command = AnyCommand::Plan(new.into_command());
    let done = state.dispatcher.dispatch_as(&id, command, context).await.map_err(refusal)?;
    let (version, replayed) = (done.version, done.replayed);
    let Written { plan, shown } = settle(&state, &call, caller.actor(), None, done).await?;
    Ok(Answer::created("Service created successfully", views::plans::full(&plan))
        .at_version(version)
        .replayed(replayed)
        .shown(shown))
}

struct New {
    details: PlanDetails,
    monthly_price: Rupiah,
    capacity: Capacity,
    is_active: bool,
}

impl New {
    fn read(body: &Value) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let change = form::change(&mut fields);
        form::require(&mut fields, &change);
        let new = Self {
            details: change.over(&blank()),
            monthly_price: change.monthly_price.unwrap_or(Rupiah::ZERO),
            capacity: change.capacity(Capacity::UNLIMITED, 0),
            is_active: change.is_active.unwrap_or(true),
        };
        form::judge(&mut fields, &new.details, new.monthly_price, new.capacity);
        fields.finish(Unknown::Refused)?;
        Ok(new)
    }

    fn into_command(self) -> PlanCommand {
        let Self { details, monthly_price, capacity, is_active } = self;
        if is_active {
            PlanCommand::Publish { details, monthly_price, capacity }
        } else {
            PlanCommand::Prepare { details, monthly_price, capacity }
        }
    }
}

/// A plan of which nothing was said; what is empty here must be said.
fn blank() -> PlanDetails {
    PlanDetails {
        offering: String::new(),
        variant: "standard".to_owned(),
        variant_display_name: "Standard".to_owned(),
        display_name: String::new(),
        description: String::new(),
        version: "latest".to_owned(),
        cpu_request: "0.25".to_owned(),
        cpu_limit: "1".to_owned(),
        mem_request: "512Mi".to_owned(),
        mem_limit: "1Gi".to_owned(),
        docker_image: String::new(),
        container_port: 80,
        environment: std::collections::BTreeMap::new(),
        category: String::new(),
        tags: Vec::new(),
        icon: String::new(),
        features: Vec::new(),
        sort_order: 0,
        is_default_variant: false,
        volume_size: None,
        volume_mount_path: None,
        volume_name: None,
        storage_class: "local-path".to_owned(),
        access_mode: "ReadWriteOnce".to_owned(),
        yearly_discount_percent: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn least() -> Value {
        json!({"name": "gitea", "displayName": "Gitea", "description": "Git for small teams", "dockerImage": "gitea:1"})
    }

    fn faults(body: &Value) -> Vec<String> {
        let refusal = New::read(body).err().expect("refused");
        refusal.errors().iter().map(|fault| fault.field.clone()).collect()
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let new = New::read(&least()).expect("reads");
        assert_eq!((new.details.variant.as_str(), new.details.container_port), ("standard", 80));
        assert_eq!((new.monthly_price, new.capacity, new.is_active), (Rupiah::ZERO, Capacity::UNLIMITED, true));
        assert_eq!((new.details.volume_size, new.details.storage_class.as_str()), (None, "local-path"));
    }

    #[test]
    fn empty_icon_and_volume_name_are_fine_and_numbers_may_come_as_texts() {
        let mut body = least();
        body["icon"] = json!("");
        body["volumeName"] = json!("");
        body["volumeSize"] = json!("250Mi");
        body["monthlyPrice"] = json!("35000");
        body["isActive"] = json!("false");
        body["environmentVars"] = json!({"PORT": 80, "DEBUG": true});
        let new = New::read(&body).expect("reads");
        assert_eq!((new.details.volume_name, new.details.volume_size.as_deref()), (None, Some("250Mi")));
        assert_eq!((new.monthly_price, new.is_active), (Rupiah::new(35_000), false));
        assert_eq!(new.details.environment.get("DEBUG").map(String::as_str), Some("true"));
    }

    #[test]
    fn an_image_may_have_a_digest_and_a_wrong_one_is_a_fault_of_its_field() {
        let mut body = least();
        body["dockerImage"] = json!(format!("gitea/gitea:1.22@sha256:{}", "0a".repeat(32)));
        assert_eq!(New::read(&body).expect("reads").details.docker_image, body["dockerImage"]);
        body["dockerImage"] = json!("gitea/gitea:1.22@sha256:abc");
        assert_eq!(faults(&body), ["dockerImage"]);
    }

    #[test]
    fn every_bad_field_is_named_once() {
        assert_eq!(faults(&json!({"variant": "standard"})), ["name", "displayName", "description", "dockerImage"]);
        let mut body = least();
        for (field, value) in [
            ("variant", json!("X")),
            ("cpuRequest", json!(1)),
            ("memLimit", json!("1GB")),
            ("monthlyPrice", json!(0.5)),
            ("availableQuota", json!(-2)),
            ("containerPort", json!(70_000)),
            ("sortOrder", json!(-1)),
            ("tags", json!("cms")),
            ("environmentVars", json!({"A": {"deep": 1}})),
            ("accessMode", json!("ReadWriteSometimes")),
            ("volumeMountPath", json!("data")),
            ("extra", json!(1)),
        ] {
            body[field] = value;
        }
        let mut named = faults(&body);
        named.sort();
        let expected = [
            "accessMode",
            "availableQuota",
            "containerPort",
            "cpuRequest",
            "environmentVars.A",
            "extra",
            "memLimit",
            "monthlyPrice",
            "sortOrder",
            "tags",
            "variant",
            "volumeMountPath",
        ];
        assert_eq!(named, expected);
    }
}
