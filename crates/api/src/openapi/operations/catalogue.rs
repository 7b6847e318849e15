//! Operations on the catalogue.

use serde_json::{Value, json};

use crate::{
    input::reason::REASON_MAX,
    openapi::{
        operation::{Operation, delete, get, patch, post, put},
        schema::{
            all, any, bounded, counted_pages, date, flag, form, id, int, list, loose_flag, loose_int, nullable, object,
            of, text, texts, words,
        },
    },
};

pub fn operations() -> Vec<Operation> {
    [to_read(), to_keep()].concat()
}

fn to_read() -> Vec<Operation> {
    let brief = object(&[
        ("id", id()),
        ("name", text()),
        ("displayName", text()),
        ("description", text()),
        ("version", text()),
        ("monthlyPrice", text()),
    ]);
    let variants = object(&[
        ("serviceName", text()),
        ("displayName", text()),
        ("description", text()),
        ("category", text()),
        ("tags", list(text())),
        ("icon", text()),
        ("variants", list(any())),
    ]);
    vec![
        get("/services", "Every plan that is sold").public().gives(list(brief.clone())),
        get("/services/grouped", "Services with their plans")
            .public()
            .query("search", bounded(1, 100))
            .query("category", bounded(1, 50))
            .gives(object(&[("services", list(of("ServiceGroup"))), ("total", int())])),
        get("/services/categories", "The categories of what is sold").public().gives(list(text())),
        get("/services/{name}", "The plan that stands for a service").public().gives(brief),
        get("/services/{name}/variants", "What a service is sold as").public().gives(variants),
    ]
}

fn to_keep() -> Vec<Operation> {
    let count = || object(&[("subscriptions", int())]);
    let row = all(&[of("Service"), object(&[("_count", count())])]);
    let user = nullable(of("UserMini"));
    let holder = object(&[("id", id()), ("status", text()), ("user", user)]);
    let detail = all(&[of("Service"), object(&[("_count", count()), ("subscriptions", list(holder))])]);
    let popular = object(&[("name", text()), ("displayName", text()), ("_count", count())]);
    let numbers = object(&[
        ("totalServices", int()),
        ("activeServices", int()),
        ("inactiveServices", int()),
        ("totalSubscriptions", int()),
        ("activeSubscriptions", int()),
        ("popularServices", list(popular)),
    ]);
    let named = || [("id", id()), ("name", text()), ("displayName", text())];
    let switched = object(&[&named()[..], &[("isActive", flag()), ("updatedAt", date())]].concat());
    let reason = form(&[], &[("reason", nullable(bounded(0, REASON_MAX)))], false);
    vec![
        get("/services/admin", "All plans, newest first")
            .admin()
            .paged()
            .query("isActive", words(&["true", "false"]))
            .query("search", bounded(1, 100))
            .gives(object(&[("services", list(row)), ("pagination", counted_pages())])),
        get("/services/admin/stats", "The catalogue in numbers").admin().gives(numbers),
        get("/services/admin/{id}", "One plan and its newest subscriptions").admin().gives(detail),
        post("/services", "Publishes a plan")
            .admin()
            .takes(plan(&["name", "displayName", "description", "dockerImage"]))
            .creates()
            .gives(of("Service")),
        put("/services/{name}", "Changes the plan of this id: all that was sent, or nothing")
            .admin()
            .takes(plan(&[]))
            .gives(of("Service")),
        patch("/services/{id}/toggle-status", "Stops selling a plan, or sells it again")
            .admin()
            .may_take(reason.clone())
            .gives(switched),
        delete("/services/{name}", "Takes the plan of this id out of the catalogue, when nobody uses it")
            .admin()
            .may_take(reason)
            .gives(object(&named())),
    ]
}

/// The form of a plan; what is not `required` may be left out.
fn plan(required: &[&str]) -> Value {
    let line = |most| nullable(bounded(0, most));
    let fields = [
        ("name", bounded(2, 50)),
        ("variant", line(30)),
        ("variantDisplayName", line(50)),
        ("displayName", bounded(2, 100)),
        ("description", bounded(10, 500)),
        ("version", line(50)),
        ("isActive", loose_flag()),
        ("cpuRequest", line(20)),
        ("cpuLimit", line(20)),
        ("memRequest", line(20)),
        ("memLimit", line(20)),
        ("monthlyPrice", loose_int()),
        ("availableQuota", loose_int()),
        ("dockerImage", bounded(1, 255)),
        ("containerPort", loose_int()),
        ("environmentVars", nullable(json!({ "anyOf": [texts(), { "type": "object" }] }))),
        ("category", line(50)),
        ("tags", nullable(list(bounded(1, 30)))),
        ("icon", line(100)),
        ("features", nullable(list(bounded(1, 100)))),
        ("sortOrder", loose_int()),
        ("isDefaultVariant", loose_flag()),
        ("volumeSize", line(20)),
        ("volumeMountPath", line(255)),
        ("volumeName", line(63)),
        ("storageClass", line(63)),
        ("accessMode", line(20)),
        ("yearlyDiscountPercent", loose_int()),
        ("reason", line(REASON_MAX)),
    ];
    let (must, may): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(name, _)| required.contains(name));
    form(&must, &may, true)
}
