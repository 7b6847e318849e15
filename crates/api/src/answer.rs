//! The envelope of everything that went well.

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    http::{StatusCode, header},
    web,
};
use serde_json::{Value, json};

use crate::{
    edge::conditional::{VersionSeen, weak},
    error::ApiError,
    preference::Shown,
    state::AppState,
};

/// What a handler gives back.
pub type Result = std::result::Result<Answer, ApiError>;

/// `{success, message, data, timestamp, statusCode}`, and the headers of a write.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    status: StatusCode,
    message: &'static str,
    data: Value,
    version: Option<i64>,
    replayed: bool,
    shown: Shown,
}

impl Answer {
    /// 200.
    pub fn ok(message: &'static str, data: Value) -> Self {
        Self { status: StatusCode::OK, message, data, version: None, replayed: false, shown: Shown::NotYet }
    }

    /// 201.
    pub fn created(message: &'static str, data: Value) -> Self {
        Self { status: StatusCode::CREATED, ..Self::ok(message, data) }
    }

    /// Another status with the envelope of a success (readiness tells its parts with 503).
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// `ETag`: the aggregate's version after the write.
    pub fn at_version(self, version: i64) -> Self {
        Self { version: Some(version), ..self }
    }

    /// `Preference-Applied`: whether the read models already show what was written.
    pub fn shown(self, shown: impl Into<Shown>) -> Self {
        Self { shown: shown.into(), ..self }
    }

    /// `Idempotency-Replayed: true` when the receipt of an earlier request answered.
    pub fn replayed(self, replayed: bool) -> Self {
        Self { replayed, ..self }
    }
}

impl Responder for Answer {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse<BoxBody> {
        let timestamp =
            request.app_data::<web::Data<AppState>>().map_or_else(String::new, |state| state.clock.now().to_contract());
        let mut response = HttpResponse::build(self.status);
        if let Some(version) = self.version {
            response.insert_header((header::ETAG, format!("\"{version}\"")));
        } else if request.method().is_safe() && self.status == StatusCode::OK {
            let version = request.extensions().get::<VersionSeen>().copied();
            response.insert_header((header::ETAG, weak(version, self.data.to_string().as_bytes())));
        }
        if let Some(applied) = self.shown.applied() {
            response.insert_header(("Preference-Applied", applied));
        }
        if self.replayed {
            response.insert_header(("Idempotency-Replayed", "true"));
        }
        response.json(json!({
            "success": self.status.is_success(),
            "message": self.message,
            "data": self.data,
            "timestamp": timestamp,
            "statusCode": self.status.as_u16(),
        }))
    }
}
