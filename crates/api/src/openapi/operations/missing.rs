//! Operations that the contract has and this installation not yet.

use crate::{
    openapi::operation::{Operation, delete, get, patch, post, put},
    routes::missing::MISSING,
};

pub fn operations() -> Vec<Operation> {
    MISSING
        .iter()
        .map(|missing| {
            let operation = match missing.method {
                "POST" => post(missing.path, missing.what),
                "PUT" => put(missing.path, missing.what),
                "PATCH" => patch(missing.path, missing.what),
                "DELETE" => delete(missing.path, missing.what),
                _ => get(missing.path, missing.what),
            };
            let operation = operation.missing();
            if missing.action.is_some() { operation.admin() } else { operation }
        })
        .collect()
}
