//! Who may be calling where no token is needed.

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpRequest, dev};
use minispod_auth::Action;

use crate::caller::Caller;

/// Anybody: signed in or not. A token that is no good makes a stranger of its bearer, not a refusal.
#[derive(Debug, Clone)]
pub struct Visitor(Option<Caller>);

impl Visitor {
    /// Whether the visitor is somebody who may do `action`.
    pub fn may(&self, action: Action) -> bool {
        self.0.as_ref().is_some_and(|caller| caller.may(action).is_ok())
    }
}

impl FromRequest for Visitor {
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload);
        Box::pin(async move { Ok(Self(caller.await.ok())) })
    }
}
