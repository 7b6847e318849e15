//! The description of this api for programs, and a page of it for people.

pub mod read;

use actix_web::{
    http::header,
    middleware::DefaultHeaders,
    web::{self, ServiceConfig, get, resource, scope},
};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Scripts and styles of the page come with the binary; nothing is loaded from elsewhere. The page styles itself in line.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                           img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'";

/// `/openapi.json`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/openapi.json").route(get().to(read::handle)));
}

/// `/docs/`: the document as a page that can be browsed and tried.
pub fn page(app: &mut ServiceConfig) {
    let page = SwaggerUi::new("/{_:.*}").config(Config::from("/api/v1/openapi.json").try_it_out_enabled(true));
    app.service(web::redirect("/docs", "/docs/")).service(
        scope("/docs").wrap(DefaultHeaders::new().add((header::CONTENT_SECURITY_POLICY, PAGE_POLICY))).service(page),
    );
}
