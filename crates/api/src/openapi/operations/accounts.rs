//! Operations on accounts and sign-in.

use crate::openapi::{
    operation::{Operation, delete, get, post, put},
    schema::{
        all, bounded, date, email, flag, form, id, int, list, new_password, null, nullable, object, of, range, text,
        words,
    },
};

pub fn operations() -> Vec<Operation> {
    [signing_in(), account(), proofs(), tokens()].concat()
}

/// A second factor beside the first.
fn second_factor() -> [(&'static str, serde_json::Value); 2] {
    [("otp", bounded(1, 64)), ("recoveryCode", bounded(1, 64))]
}

fn signing_in() -> Vec<Operation> {
    let signed_in = || object(&[("user", of("User")), ("tokens", of("Tokens"))]);
    let new_account = form(
        &[("name", bounded(2, 50)), ("email", email()), ("password", new_password()), ("confirmPassword", text())],
        &[],
        true,
    );
    let credentials = form(&[("email", email()), ("password", bounded(1, 128))], &second_factor(), true);
    let [otp, recovery] = second_factor();
    let optional = [("name", bounded(2, 50)), ("email", email()), ("picture", text()), otp, recovery];
    let google = form(&[("idToken", bounded(1, 8192))], &optional, false);
    let vouched = object(&[("user", of("User")), ("tokens", of("Tokens")), ("isNewUser", flag())]);
    vec![
        post("/auth/register", "Opens an account and signs in")
            .public()
            .takes(new_account)
            .creates()
            .gives(signed_in()),
        post("/auth/login", "Signs in; with a second factor where the account asks for one")
            .public()
            .takes(credentials)
            .gives(signed_in())
            .refuses(&[401]),
        post("/auth/google", "Signs in whom Google vouches for; opens an account for who has none")
            .public()
            .takes(google)
            .gives(vouched)
            .refuses(&[401, 404]),
        post("/auth/refresh", "Exchanges a refresh token, which works once")
            .public()
            .takes(form(&[("refreshToken", bounded(0, 200))], &[], false))
            .gives(object(&[("tokens", of("Tokens"))]))
            .refuses(&[401]),
        post("/auth/logout", "Ends this session").gives(null()).signed_in(),
        get("/auth/me", "Who is signed in").gives(object(&[("user", of("User")), ("authenticated", flag())])),
    ]
}

fn account() -> Vec<Operation> {
    let with_change = || all(&[of("User"), object(&[("updatedAt", date())])]);
    let counts = object(&[("subscriptions", int())]);
    let proven = object(&[("_count", counts), ("emailVerified", flag()), ("twoFactorEnabled", flag())]);
    let change = form(
        &[],
        &[("name", nullable(bounded(2, 50))), ("email", nullable(email())), ("currentPassword", bounded(1, 128))],
        true,
    );
    let new_password = form(
        &[("currentPassword", bounded(1, 128)), ("newPassword", new_password()), ("confirmNewPassword", text())],
        &[],
        true,
    );
    let session = object(&[
        ("id", id()),
        ("current", flag()),
        ("device", nullable(text())),
        ("createdAt", date()),
        ("lastUsedAt", date()),
        ("expiresAt", date()),
    ]);
    vec![
        get("/auth/profile", "The caller's account").gives(all(&[with_change(), proven])),
        put("/auth/profile", "Changes name or address").may_take(change).gives(with_change()).signed_in(),
        post("/auth/change-password", "Sets a new password; every other session ends")
            .takes(new_password)
            .gives(null())
            .signed_in(),
        delete("/auth/account", "Closes the account").gives(null()).signed_in(),
        get("/auth/sessions", "Where the caller is signed in")
            .gives(object(&[("sessions", list(session))]))
            .signed_in(),
        delete("/auth/sessions", "Ends every session but this one").gives(object(&[("revoked", int())])).signed_in(),
        delete("/auth/sessions/{id}", "Ends one session").gives(null()).signed_in(),
    ]
}

fn proofs() -> Vec<Operation> {
    let link = || ("token", bounded(0, 200));
    let reset = form(&[link(), ("newPassword", new_password()), ("confirmNewPassword", text())], &[], true);
    let set_up = object(&[("secret", text()), ("otpauthUrl", text())]);
    vec![
        post("/auth/forgot-password", "Mails a link to set a new password, where there is such an account")
            .public()
            .takes(form(&[("email", email())], &[], true))
            .gives(null()),
        post("/auth/reset-password", "Sets a new password with a mailed link; every session ends")
            .public()
            .takes(reset)
            .gives(null()),
        post("/auth/verify-email", "Verifies an address with a mailed link")
            .public()
            .takes(form(&[link()], &[], true))
            .gives(null()),
        post("/auth/resend-verification", "Mails another link that verifies the address").gives(null()).signed_in(),
        post("/auth/2fa/setup", "A secret for an authenticator app").gives(set_up).signed_in(),
        post("/auth/2fa/confirm", "Switches two-factor sign-in on")
            .takes(form(&[("otp", bounded(0, 64))], &[], true))
            .gives(object(&[("recoveryCodes", list(text()))]))
            .signed_in(),
        post("/auth/2fa/disable", "Switches two-factor sign-in off, with a code")
            .takes(form(&[], &second_factor(), true))
            .gives(null())
            .signed_in(),
    ]
}

fn tokens() -> Vec<Operation> {
    let scopes = || list(words(&["read", "write", "admin"]));
    let token = || {
        object(&[("id", id()), ("name", text()), ("scopes", scopes()), ("createdAt", date()), ("expiresAt", date())])
    };
    let wish = form(&[("name", bounded(1, 50)), ("scopes", scopes()), ("expiresInDays", range(1, 365))], &[], true);
    vec![
        get("/auth/api-tokens", "The caller's API tokens").gives(object(&[("apiTokens", list(token()))])).signed_in(),
        post("/auth/api-tokens", "Makes an API token, shown this once")
            .takes(wish)
            .creates()
            .gives(object(&[("apiToken", token()), ("token", text())]))
            .signed_in(),
        delete("/auth/api-tokens/{id}", "Ends an API token").gives(null()).signed_in(),
    ]
}
