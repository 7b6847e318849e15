//! `GET /billing/invoices/:id/why`: the events behind an invoice, each with its time, its money and a plain sentence.

use actix_web::{HttpRequest, http::header, web};
use minispod_kernel::Language;
use serde_json::{Value, json};

use super::invoice_of;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    state::AppState,
    views, why,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest, id: web::Path<String>) -> Result {
    let mut query = Query::of(&request);
    let asked = query.language();
    query.finish()?;
    let language = asked.or_else(|| preferred(&request)).unwrap_or_default();
    let invoice = invoice_of(&state, &caller, &id).await?;
    let facts = why::behind(&state, &invoice).await?;
    let data = json!({
        "invoice": views::money::invoice(&invoice),
        "language": language.code(),
        "steps": facts.iter().filter_map(|fact| why::step(fact, language)).collect::<Value>(),
    });
    Ok(Answer::ok("The events behind the invoice", data))
}

/// The first of our languages that `Accept-Language` names.
fn preferred(request: &HttpRequest) -> Option<Language> {
    let names = request.headers().get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    let code = |name: &str| name.split([';', '-']).next().unwrap_or_default().trim().to_ascii_lowercase();
    names.split(',').find_map(|name| code(name).parse().ok())
}
