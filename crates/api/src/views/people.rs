//! How accounts look.

use minispod_projections::users::UserRow;
use serde_json::{Value, json};

/// `{id, name, email}`.
pub fn mini(user: &UserRow) -> Value {
    json!({ "id": user.id, "name": user.name, "email": user.email })
}

/// [`mini`] and the role.
pub fn with_role(user: &UserRow) -> Value {
    let mut view = mini(user);
    view["role"] = user.role.as_str().into();
    view
}

/// `{id, email, name, role, isActive, createdAt}`.
pub fn me(user: &UserRow) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role.as_str(),
        "isActive": user.is_active,
        "createdAt": user.created_at.to_contract(),
    })
}

/// [`me`] and `updatedAt`.
pub fn signed_in(user: &UserRow) -> Value {
    let mut view = me(user);
    view["updatedAt"] = user.updated_at.to_contract().into();
    view
}

/// [`signed_in`], how many subscriptions there are in the contract's place for counts, and how well it is proven.
pub fn profile(user: &UserRow, subscriptions: i64) -> Value {
    let mut view = signed_in(user);
    view["emailVerified"] = user.email_verified.into();
    view["twoFactorEnabled"] = user.two_factor.into();
    view["_count"] = json!({ "subscriptions": subscriptions });
    view
}

/// [`signed_in`] and how many subscriptions the account has.
pub fn counted(user: &UserRow, subscriptions: i64) -> Value {
    let mut view = signed_in(user);
    view["_count"] = json!({ "subscriptions": subscriptions });
    view
}

/// `{id, email, name, role, isActive, updatedAt}`.
pub fn changed(user: &UserRow) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role.as_str(),
        "isActive": user.is_active,
        "updatedAt": user.updated_at.to_contract(),
    })
}
