//! Operations on accounts and sign-in.

use crate::openapi::{
    operation::{Operation, get, post},
    schema::{bounded, email, flag, form, object, of, text},
};

pub fn operations() -> Vec<Operation> {
    let signed_in = || object(&[("user", of("User")), ("tokens", of("Tokens"))]);
    let new_account = form(
        &[("name", bounded(2, 50)), ("email", email()), ("password", bounded(8, 128)), ("confirmPassword", text())],
        &[],
        true,
    );
    let credentials = form(&[("email", email()), ("password", bounded(1, 128))], &[], true);
    vec![
        post("/auth/register", "Opens an account and signs in")
            .public()
            .takes(new_account)
            .creates()
            .gives(signed_in()),
        post("/auth/login", "Signs in").public().takes(credentials).gives(signed_in()).refuses(&[401]),
        get("/auth/me", "Who is signed in").gives(object(&[("user", of("User")), ("authenticated", flag())])),
    ]
}
