//! Everybody's accounts in the hands of administrators.

use minispod_domain::{AnyCommand, SubscriptionCommand};
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    shapes::assert_shape,
    world::{Answered, PASSWORD, open, request},
};

const FREE: &str = "cplanfree0000000000000000";
const PAID: &str = "cplanpaid0000000000000000";

fn person(email: &str) -> Value {
    json!({"name": "Citra Dewi", "email": email, "password": PASSWORD, "role": "USER"})
}

fn id_of(answer: &Answered) -> String {
    answer.data()["id"].as_str().expect("an id").to_owned()
}

fn no(answer: &Answered) -> (u16, &str) {
    (answer.status.as_u16(), answer.body["code"].as_str().unwrap_or_default())
}

#[actix_web::test]
async fn an_administrator_makes_lists_and_shows_accounts_w76() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    world.clock.advance(std::time::Duration::from_secs(1));
    let made = world.post("/admin/users", &admin, person("Citra@example.com")).await;
    assert_eq!((made.status.as_u16(), &made.body["statusCode"]), (201, &json!(201)), "{:#}", made.body);
    assert_shape("POST /api/v1/admin/users", "ok", &made.body);
    let id = id_of(&made);
    let events = world.events("user", &id).await;
    assert_eq!((events[0].0.as_str(), &events[0].1["id"]), ("UserRegistered", &json!(admin_id)));
    assert_eq!(events[0].2["method"], "operator");
    let login = json!({"email": "citra@example.com", "password": PASSWORD});
    let login = world.call("POST", "/auth/login", None, Some(&login)).await;
    assert_eq!(login.status, 200, "{:#}", login.body);
    let token = login.data()["tokens"]["accessToken"].as_str().expect("a token");
    assert_eq!(world.get("/billing/balance", token).await.data()["balance"], "0", "the wallet is there");
    world.post("/subscriptions", token, json!({"serviceId": FREE})).await;

    let list = world.get("/admin/users", &admin).await;
    assert_shape("GET /api/v1/admin/users", "ok", &list.body);
    let rows = list.data()["users"].as_array().expect("users").clone();
    let counts: Vec<_> = rows.iter().map(|row| (&row["email"], &row["_count"]["subscriptions"])).collect();
    assert_eq!(counts, [(&json!("Citra@example.com"), &json!(1)), (&json!("admin@example.com"), &json!(0))]);
    let detail = world.get(&format!("/admin/users/{id}"), &admin).await;
    assert_shape("GET /api/v1/admin/users/:id", "ok", &detail.body);
    assert_eq!(detail.data()["subscriptions"][0]["service"]["name"], "n8n");
    assert_eq!(detail.data()["_count"]["subscriptions"], 1);
    for (query, total) in [("role=ADMINISTRATOR", 1), ("isActive=false", 0), ("search=citra", 1), ("page=9&limit=1", 2)]
    {
        let page = world.get(&format!("/admin/users?{query}"), &admin).await;
        assert_eq!(page.data()["pagination"]["totalCount"], total, "{query}");
    }
    let stats = world.get("/admin/users/stats", &admin).await;
    assert_eq!(
        stats.data(),
        &json!({"totalUsers": 2, "activeUsers": 2, "inactiveUsers": 0, "adminUsers": 1, "regularUsers": 1,
                "usersWithSubscriptions": 1, "usersWithoutSubscriptions": 1})
    );
    let bad = world.get("/admin/users?page=0&role=GOD&isActive=1&search=", &admin).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["page", "role", "isActive"]));
    for none in ["/admin/users/cnobody", "/admin/users/%00"] {
        let none = world.get(none, &admin).await;
        assert_eq!(no(&none), (404, "USER_NOT_FOUND"));
        assert_shape("GET /api/v1/admin/users/:id", "refused", &none.body);
    }
}

#[actix_web::test]
async fn bad_and_taken_accounts_are_refused_and_a_repeat_is_one_account() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let taken = world.post("/admin/users", &admin, person("ADMIN@example.com")).await;
    assert_eq!(no(&taken), (409, "USER_EXISTS"));
    assert_shape("POST /api/v1/admin/users", "refused", &taken.body);
    let bad = json!({"name": "x", "email": "nowhere", "password": "weak", "role": "GOD"});
    let bad = world.post("/admin/users", &admin, bad).await;
    assert_eq!((bad.status.as_u16(), bad.fields().first()), (400, Some(&"role")));
    assert_shape("POST /api/v1/admin/users", "refused", &bad.body);
    let mut both = person("citra@example.com");
    both["role"] = json!("ADMINISTRATOR");
    both["isActive"] = json!(false);
    assert_eq!(no(&world.post("/admin/users", &admin, both.clone()).await), (409, "CONFLICT_ERROR"));
    both["role"] = json!("USER");
    let make =
        || request("POST", "/admin/users", Some(&admin), Some(&both)).insert_header(("idempotency-key", "make-1"));
    let (first, second) = (world.send(make()).await, world.send(make()).await);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201), "{:#}", first.body);
    assert_eq!((first.data(), second.header("idempotency-replayed")), (second.data(), Some("true")));
    assert_eq!(first.data()["isActive"], false);
    assert_eq!(world.count("UserRegistered").await, 2);
}

#[actix_web::test]
async fn an_account_is_changed_whole_or_not_at_all_with_actor_and_reason_w73() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    let (_, id) = world.register("ani@example.com").await;
    let path = format!("/admin/users/{id}");
    let taken = json!({"name": "Ani Baru", "email": "Admin@example.com", "isActive": false});
    let taken = world.call("PUT", &path, Some(&admin), Some(&taken)).await;
    assert_eq!(no(&taken), (409, "EMAIL_EXISTS"));
    assert_eq!(world.events("user", &id).await.len(), 1, "nothing half done");
    let change =
        json!({"name": "Ani Baru", "email": "ani.baru@example.com", "role": "ADMINISTRATOR", "reason": "hired"});
    let changed = world.call("PUT", &path, Some(&admin), Some(&change)).await;
    assert_eq!(changed.status, 200, "{:#}", changed.body);
    let data = changed.data();
    assert_eq!(
        (&data["name"], &data["email"], &data["role"]),
        (&json!("Ani Baru"), &json!("ani.baru@example.com"), &json!("ADMINISTRATOR"))
    );
    let events = world.events("user", &id).await;
    let names: Vec<_> = events.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["UserRegistered", "UserProfileChanged", "UserRoleChanged"]);
    assert_eq!((&events[2].1["id"], &events[2].2["reason"]), (&json!(admin_id), &json!("hired")));
    assert_eq!(world.count("AdministratorAdded").await, 2);
    let same = world.call("PUT", &path, Some(&admin), Some(&change)).await;
    assert_eq!((same.status.as_u16(), world.events("user", &id).await.len()), (200, 3), "already so");
    for (bad, field) in
        [(json!({}), "body"), (json!({"email": "x"}), "email"), (json!({"password": PASSWORD}), "password")]
    {
        let refused = world.call("PUT", &path, Some(&admin), Some(&bad)).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec![field]), "{bad}");
    }
    assert_eq!(
        no(&world.call("PUT", "/admin/users/cnobody", Some(&admin), Some(&change)).await),
        (404, "USER_NOT_FOUND")
    );
}

#[actix_web::test]
async fn nobody_locks_out_the_last_administrator_or_themselves_w44() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    let (other, other_id) = world.administrator("other@example.com").await;
    let (own, toggle) = (format!("/admin/users/{admin_id}"), format!("/admin/users/{admin_id}/toggle-status"));
    let attempts = [
        ("PUT", own.as_str(), json!({"role": "USER"})),
        ("PUT", own.as_str(), json!({"isActive": false, "name": "Not Done"})),
        ("PATCH", toggle.as_str(), json!({})),
        ("DELETE", own.as_str(), json!({})),
    ];
    for (method, path, body) in &attempts {
        let refused = world.call(method, path, Some(&admin), Some(body)).await;
        assert_eq!(no(&refused), (409, "CONFLICT_ERROR"), "{method} {body}");
        assert_eq!(refused.body["message"], "Administrators cannot demote, deactivate or delete themselves");
    }
    let rename = world.call("PUT", &own, Some(&admin), Some(&json!({"name": "Still Here"}))).await;
    assert_eq!((rename.status.as_u16(), &rename.data()["role"]), (200, &json!("ADMINISTRATOR")));

    let contradiction = json!({"role": "ADMINISTRATOR", "isActive": false});
    let path = format!("/admin/users/{other_id}");
    assert_eq!(no(&world.call("PUT", &path, Some(&admin), Some(&contradiction)).await), (409, "CONFLICT_ERROR"));
    let out =
        world.call("PATCH", &format!("{path}/toggle-status"), Some(&admin), Some(&json!({"reason": "left"}))).await;
    assert_eq!(
        (out.status.as_u16(), &out.data()["isActive"], &out.data()["role"]),
        (200, &json!(false), &json!("USER"))
    );
    assert_shape("PATCH /api/v1/admin/users/:id/toggle-status", "ok", &out.body);
    let names: Vec<_> = world.events("user", &other_id).await.into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names[names.len() - 2..], ["UserRoleChanged", "UserDeactivated"]);
    let removed = world.events("admin_roster", "administrators").await.pop().expect("events");
    assert_eq!((removed.0.as_str(), &removed.2["reason"]), ("AdministratorRemoved", &json!("left")));
    assert_eq!(removed.1["id"], json!(admin_id));
    let world = &world;
    minispod_testkit::wait_until(std::time::Duration::from_secs(1), || async {
        world.get("/admin/users", &other).await.status == 401
    })
    .await;
    assert_eq!(world.count("AdministratorRemoved").await, 1);
    let promote = world.call("PUT", &path, Some(&admin), Some(&json!({"role": "ADMINISTRATOR"}))).await;
    assert_eq!(
        (no(&promote).0, &promote.body["message"]),
        (409, &json!("A deactivated account cannot be an administrator"))
    );
    let back = json!({"role": "ADMINISTRATOR", "isActive": true});
    assert_eq!(world.call("PUT", &path, Some(&admin), Some(&back)).await.status, 200);
}

#[actix_web::test]
async fn two_administrators_who_dismiss_each_other_leave_one_w44() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (one, one_id) = world.administrator("one@example.com").await;
    let (two, two_id) = world.administrator("two@example.com").await;
    let demote = json!({"role": "USER"});
    let (paths, demote) = ([format!("/admin/users/{two_id}"), format!("/admin/users/{one_id}")], &demote);
    let (first, second) = futures::future::join(
        world.call("PUT", &paths[0], Some(&one), Some(demote)),
        world.call("PUT", &paths[1], Some(&two), Some(demote)),
    )
    .await;
    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200, "{:#} {:#}", first.body, second.body);
    assert_ne!(statuses[1], 200);
    assert_eq!(world.count("AdministratorRemoved").await, 1);
}

#[actix_web::test]
async fn a_new_password_is_set_and_never_kept_in_the_open_w36() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (signed_in, id) = world.register("ani@example.com").await;
    let path = format!("/admin/users/{id}/password");
    let weak = world.call("PATCH", &path, Some(&admin), Some(&json!({"newPassword": "weak"}))).await;
    assert_eq!((weak.status.as_u16(), weak.fields()[0]), (400, "newPassword"));
    let keyed = request("PATCH", &path, Some(&admin), Some(&json!({"newPassword": "Baru!2026x"})));
    let keyed = world.send(keyed.insert_header(("idempotency-key", "k"))).await;
    assert_eq!((keyed.status.as_u16(), keyed.fields()), (400, vec!["Idempotency-Key"]));
    let set = world.call("PATCH", &path, Some(&admin), Some(&json!({"newPassword": "Baru!2026x"}))).await;
    assert_eq!((set.status.as_u16(), &set.data()["id"]), (200, &json!(id)), "{:#}", set.body);
    world.until_refused(&signed_in).await;
    for (password, status) in [(PASSWORD, 401), ("Baru!2026x", 200)] {
        let login = json!({"email": "ani@example.com", "password": password});
        assert_eq!(world.call("POST", "/auth/login", None, Some(&login)).await.status, status, "{password}");
    }
    let toggle = format!("/admin/users/{id}/toggle-status");
    assert_eq!(world.call("PATCH", &toggle, Some(&admin), None).await.data()["isActive"], false);
    let set = world.call("PATCH", &path, Some(&admin), Some(&json!({"newPassword": "Lagi!2026x"}))).await;
    assert_eq!(no(&set), (409, "CONFLICT_ERROR"));
    assert_eq!(world.call("PATCH", &toggle, Some(&admin), None).await.data()["isActive"], true);
    let missing = world
        .call("PATCH", "/admin/users/cnobody/password", Some(&admin), Some(&json!({"newPassword": "Baru!2026x"})))
        .await;
    assert_eq!(no(&missing), (404, "USER_NOT_FOUND"));
}

#[actix_web::test]
async fn a_person_is_forgotten_and_what_was_paid_stays_w28() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    let (token, id) = world.register("ani@example.com").await;
    world.publish(PAID, "pro", 35_000, 3).await;
    world.top_up(&token, 100_000).await;
    let bought = world.post("/subscriptions", &token, json!({"serviceId": PAID})).await;
    let subscription = id_of(&bought);
    let path = format!("/admin/users/{id}");
    for state in ["waiting", "running"] {
        if state == "running" {
            world.settle_reactions().await;
            let activate = SubscriptionCommand::Activate { external_url: "https://x.example".to_owned() };
            world.command(&subscription, AnyCommand::Subscription(activate), "ready").await;
        }
        let refused = world.call("DELETE", &path, Some(&admin), None).await;
        assert_eq!(no(&refused), (409, "USER_HAS_ACTIVE_SUBSCRIPTIONS"), "{state}");
        assert_shape("DELETE /api/v1/admin/users/:id", "refused", &refused.body);
    }
    assert_eq!(world.call("DELETE", &format!("/subscriptions/{subscription}"), Some(&token), None).await.status, 200);
    world.settle_reactions().await;
    let booked = world.count("WalletDebited").await;
    assert!(booked > 0);
    let gone = world.call("DELETE", &path, Some(&admin), None).await;
    assert_eq!(gone.status, 200, "{:#}", gone.body);
    assert_shape("DELETE /api/v1/admin/users/:id", "ok", &gone.body);
    assert_eq!(gone.data()["email"], "ani@example.com");
    let forgotten = world.events("user", &id).await.pop().expect("events");
    assert_eq!((forgotten.0.as_str(), &forgotten.1["id"]), ("UserForgotten", &json!(admin_id)));
    assert_eq!(world.count("WalletDebited").await, booked);

    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM vault.data_keys WHERE person = $1 AND wrapped IS NOT NULL")
            .bind(&id)
            .fetch_one(world.store.pool())
            .await
            .expect("counts");
    assert_eq!(kept, 0, "the data key is gone");
    let owner = format!("user/{id}");
    assert_eq!(world.store.vault().find(&owner, "password").await.expect("reads"), None);
    for (method, path) in [("GET", &path), ("DELETE", &path), ("PATCH", &format!("{path}/toggle-status"))] {
        assert_eq!(no(&world.call(method, path, Some(&admin), None).await), (404, "USER_NOT_FOUND"), "{method}");
    }
    assert_eq!(world.get("/admin/users", &admin).await.data()["pagination"]["totalCount"], 1);
    let stats = world.get("/admin/users/stats", &admin).await;
    assert_eq!((&stats.data()["totalUsers"], &stats.data()["usersWithSubscriptions"]), (&json!(1), &json!(0)));
    let login = json!({"email": "ani@example.com", "password": PASSWORD});
    assert_eq!(world.call("POST", "/auth/login", None, Some(&login)).await.status, 401);
    assert_eq!(world.post("/admin/users", &admin, person("ani@example.com")).await.status, 201, "the address is free");
}

#[actix_web::test]
async fn only_administrators_see_and_change_accounts_w44() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (_, admin_id) = world.administrator("admin@example.com").await;
    let (customer, _) = world.register("ani@example.com").await;
    let one = format!("/admin/users/{admin_id}");
    let (password, toggle) = (format!("{one}/password"), format!("{one}/toggle-status"));
    let before = world.events("user", &admin_id).await.len();
    for (method, path) in [
        ("GET", "/admin/users"),
        ("POST", "/admin/users"),
        ("GET", "/admin/users/stats"),
        ("GET", one.as_str()),
        ("PUT", one.as_str()),
        ("DELETE", one.as_str()),
        ("PATCH", password.as_str()),
        ("PATCH", toggle.as_str()),
    ] {
        let nobody = world.call(method, path, None, Some(&json!({}))).await;
        assert_eq!(no(&nobody), (401, "AUTH_ERROR"), "{method} {path}");
        let refused = world.call(method, path, Some(&customer), Some(&json!({}))).await;
        assert_eq!(no(&refused), (403, "FORBIDDEN_ERROR"), "{method} {path}");
    }
    assert_eq!(world.events("user", &admin_id).await.len(), before);
}
