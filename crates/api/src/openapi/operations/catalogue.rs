//! Operations on the catalogue.

use crate::openapi::{
    operation::{Operation, get},
    schema::{bounded, int, list, object, of},
};

pub fn operations() -> Vec<Operation> {
    vec![
        get("/services/grouped", "Services with their plans")
            .public()
            .query("search", bounded(1, 100))
            .query("category", bounded(1, 50))
            .gives(object(&[("services", list(of("ServiceGroup"))), ("total", int())])),
    ]
}
