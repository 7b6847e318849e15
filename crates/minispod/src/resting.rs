//! The page for visitors of instances that rest: the same for all, so that it tells nobody why.

use std::{net::SocketAddr, time::Duration};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, Responder,
    http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, RETRY_AFTER},
    web,
};
use metrics::counter;
use tokio_util::sync::CancellationToken;

use crate::{Failure, doors, roles::RoleError, telemetry};

const PAGE_EN: &str = include_str!("resting/page.en.html");
const PAGE_ID: &str = include_str!("resting/page.id.html");
/// What a browser or a crawler is asked to wait.
const RETRY_SECONDS: u32 = 300;
/// For the head of a request: what is slower is no visitor.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const GRACE_SECONDS: u64 = 5;
const CONNECTIONS: usize = 4_096;

/// Serves it at `address`, and its metrics where they are wanted, until the process is asked to end.
pub async fn serve(address: SocketAddr, metrics: Option<SocketAddr>) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let door = match metrics {
        Some(metrics) => Some(doors::metrics(&metrics.to_string(), telemetry::metrics()?, None, stop.clone())?),
        None => None,
    };
    let server = HttpServer::new(|| App::new().configure(routes))
        .workers(1)
        .max_connections(CONNECTIONS)
        .client_request_timeout(HEAD_DEADLINE)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(GRACE_SECONDS)
        .bind(address)
        .map_err(|source| RoleError::Listen { address: address.to_string(), source })?;
    for address in server.addrs() {
        println!("the page for visitors of what rests is at http://{address}");
    }
    // Whichever ends first, by a signal or a fault, ends the other.
    let page = async { server.run().await.map(|()| stop.cancel()) };
    match door {
        Some(door) => drop(tokio::try_join!(page, door)?),
        None => page.await?,
    }
    Ok(())
}

fn routes(config: &mut web::ServiceConfig) {
    config.default_service(web::to(page));
}

/// Whatever was asked for, and of whichever host: search engines and uptime checks learn that it passes.
async fn page(request: HttpRequest) -> impl Responder {
    counter!("minispod_resting_page_answers_total").increment(1);
    HttpResponse::ServiceUnavailable()
        .insert_header((RETRY_AFTER, RETRY_SECONDS))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ))
        .content_type("text/html; charset=utf-8")
        .body(if wants_indonesian(&request) { PAGE_ID } else { PAGE_EN })
}

/// Which of the two languages the visitor names first; English for who names neither.
fn wants_indonesian(request: &HttpRequest) -> bool {
    let named = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut languages = named.split(',').map(|one| one.trim().split(['-', ';']).next().unwrap_or_default());
    languages.find(|language| ["id", "en"].contains(language)) == Some("id")
}

#[cfg(test)]
mod tests {
    use actix_web::{http::Method, test};

    use super::*;

    async fn answer(method: Method, path: &str, language: &str) -> (u16, String, String) {
        let app = test::init_service(App::new().configure(routes)).await;
        let request = test::TestRequest::with_uri(path).method(method).insert_header((ACCEPT_LANGUAGE, language));
        let answer = test::call_service(&app, request.to_request()).await;
        let header =
            |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let headers = format!("{} {}", header(RETRY_AFTER), header(CACHE_CONTROL));
        let status = answer.status().as_u16();
        let body = test::read_body(answer).await;
        (status, headers, String::from_utf8_lossy(&body).into_owned())
    }

    #[actix_web::test]
    async fn whatever_is_asked_for_the_answer_is_the_page_and_that_it_passes() {
        for (method, path) in [(Method::GET, "/"), (Method::POST, "/wp-login.php?a=b"), (Method::DELETE, "/a/b/../c")] {
            let (status, headers, body) = answer(method, path, "").await;
            assert_eq!((status, headers.as_str()), (503, "300 no-store"));
            assert!(body.contains("This service is resting"), "{body}");
        }
    }

    #[actix_web::test]
    async fn the_visitors_first_known_language_is_spoken() {
        for (language, words) in [
            ("id", "Layanan ini sedang beristirahat"),
            ("fr, id-ID;q=0.8, en;q=0.5", "Layanan ini sedang beristirahat"),
            ("en-US, id;q=0.2", "This service is resting"),
            ("fr", "This service is resting"),
        ] {
            assert!(answer(Method::GET, "/", language).await.2.contains(words), "{language}");
        }
    }
}
