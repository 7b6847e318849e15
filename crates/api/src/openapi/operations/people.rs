//! Operations on everybody's accounts.

use serde_json::{Value, json};

use crate::{
    input::reason::REASON_MAX,
    openapi::{
        operation::{Operation, delete, get, patch, post, put},
        schema::{
            all, bounded, counted_pages, date, email, flag, form, id, int, list, loose_flag, new_password, nullable,
            object, of, text, words,
        },
    },
    routes::admin::users::impersonate::REASON_MIN,
};

pub fn operations() -> Vec<Operation> {
    let role = || words(&["USER", "ADMINISTRATOR"]);
    let count = || ("_count", object(&[("subscriptions", int())]));
    let user = || all(&[of("User"), object(&[("updatedAt", date())])]);
    let row = all(&[user(), object(&[count()])]);
    let service = object(&[("name", text()), ("displayName", text())]);
    let runs = object(&[("id", id()), ("status", text()), ("expiresAt", date()), ("service", service)]);
    let detail = all(&[user(), object(&[count(), ("subscriptions", list(runs))])]);
    let named = || [("id", id()), ("name", text()), ("email", text()), ("role", role())];
    let changed = || object(&[&named()[..], &[("isActive", flag()), ("updatedAt", date())]].concat());
    let reason = || ("reason", nullable(bounded(0, REASON_MAX)));
    let why = || form(&[], &[reason()], false);
    let new = form(
        &[("name", bounded(2, 100)), ("email", email()), ("password", new_password())],
        &[("role", nullable(role())), ("isActive", loose_flag()), reason()],
        true,
    );
    let mut change = form(
        &[],
        &[
            ("name", nullable(bounded(2, 100))),
            ("email", nullable(email())),
            ("role", nullable(role())),
            ("isActive", loose_flag()),
            reason(),
        ],
        true,
    );
    change["minProperties"] = 1.into();
    vec![
        get("/admin/users", "All accounts, newest first")
            .admin()
            .walked()
            .query("role", role())
            .query("isActive", words(&["true", "false"]))
            .query("search", bounded(1, 100))
            .gives(object(&[("users", list(row)), ("pagination", counted_pages())])),
        get("/admin/users/stats", "The accounts in numbers").admin().gives(numbers()),
        get("/admin/users/{id}", "One account and its newest subscriptions").admin().gives(detail),
        post("/admin/users", "Makes an account for somebody").admin().takes(new).creates().gives(user()),
        put("/admin/users/{id}", "Changes what was sent of an account").admin().takes(change).gives(user()),
        post("/admin/users/{id}/impersonate", "A token to see for 15 minutes what a customer sees, for reading only")
            .admin()
            .signed_in()
            .takes(form(&[("reason", bounded(REASON_MIN, REASON_MAX))], &[], true))
            .creates()
            .gives(object(&[
                ("accessToken", text()),
                ("expiresIn", text()),
                ("expiresAt", date()),
                ("readOnly", json!({ "const": true })),
                ("user", of("UserMini")),
            ])),
        patch("/admin/users/{id}/password", "Sets another password for somebody")
            .admin()
            .takes(form(&[("newPassword", new_password())], &[reason()], true))
            .gives(changed()),
        patch("/admin/users/{id}/toggle-status", "Switches an account off, or on again")
            .admin()
            .may_take(why())
            .gives(changed()),
        delete("/admin/users/{id}", "Forgets a person; what was paid and done stays, without a name")
            .admin()
            .may_take(why())
            .gives(object(&named())),
    ]
}

fn numbers() -> Value {
    let names = [
        "totalUsers",
        "activeUsers",
        "inactiveUsers",
        "adminUsers",
        "regularUsers",
        "usersWithSubscriptions",
        "usersWithoutSubscriptions",
    ];
    object(&names.map(|name| (name, int())))
}
