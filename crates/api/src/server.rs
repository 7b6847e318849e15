//! The application in its layers, and the server that drains before it stops.

use std::{io, net::TcpListener, time::Duration};

use actix_web::{
    App, Error, HttpServer,
    body::MessageBody,
    dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::{Compress, from_fn},
    web,
};

use crate::{
    edge::{conditional, errors, headers, passage},
    routes,
    state::AppState,
};

/// Longest wait for a request's head.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Connections of one worker.
const CONNECTIONS: usize = 4_096;

/// The application: every route inside every layer. The outermost layer is the last.
pub fn app(
    state: web::Data<AppState>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let cors = headers::cors(&state.config.allowed_origins);
    App::new()
        .app_data(state)
        .configure(routes::configure)
        .wrap(from_fn(conditional::conditional))
        .wrap(from_fn(passage::limit))
        .wrap(from_fn(errors::envelope))
        .wrap(Compress::default())
        .wrap(cors)
        .wrap(headers::security())
        .wrap(from_fn(passage::observe))
}

/// Serves on `listener` until the state's shutdown token is cancelled; then takes no new connections and gives
/// requests in flight `config.drain` to end. The returned future must be awaited.
pub fn serve(state: AppState, listener: TcpListener) -> io::Result<Server> {
    let state = web::Data::new(state);
    let (workers, drain, shutdown) = (state.config.workers, state.config.drain, state.shutdown.clone());
    let server = HttpServer::new(move || app(state.clone()))
        .workers(workers.max(1))
        .max_connections(CONNECTIONS)
        .client_request_timeout(HEAD_DEADLINE)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(drain.as_secs())
        .disable_signals()
        .shutdown_signal(async move { shutdown.cancelled().await })
        .listen(listener)?;
    Ok(server.run())
}
