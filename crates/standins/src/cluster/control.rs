//! What tests and the demo steer: failing starts and outages.

use std::sync::Arc;

use actix_web::{
    HttpResponse, Responder,
    web::{self, Data, Json, ServiceConfig},
};
use minispod_provisioner::cluster::Observed;
use serde::Deserialize;
use serde_json::json;

use super::SimulatedCluster;

pub fn routes(cluster: Arc<SimulatedCluster>, config: &mut ServiceConfig) {
    config.app_data(Data::from(cluster)).service(
        web::scope("/standin/cluster")
            .route("", web::get().to(show))
            .route("/fail-next", web::post().to(fail_next))
            .route("/outage", web::put().to(outage)),
    );
}

async fn show(cluster: Data<SimulatedCluster>) -> impl Responder {
    let ready_before = cluster.ready_before(cluster.clock.now());
    let objects = cluster.objects();
    let is_ready = |seen: &Observed| seen.workloads.iter().all(|workload| workload.ready >= workload.wanted.max(1));
    let instances: Vec<_> = objects
        .survey(ready_before)
        .into_iter()
        .map(|(target, seen)| {
            json!({ "namespace": target.namespace, "instance": target.instance_id, "ready": is_ready(&seen) })
        })
        .collect();
    HttpResponse::Ok().json(json!({
        "kind": "simulated",
        "unreachable": objects.unreachable,
        "fail_next": objects.fail_next,
        "instances": instances,
    }))
}

#[derive(Deserialize)]
struct FailNext {
    count: u32,
}

async fn fail_next(cluster: Data<SimulatedCluster>, body: Json<FailNext>) -> impl Responder {
    cluster.fail_next(body.count);
    HttpResponse::Ok().json(json!({ "fail_next": body.count }))
}

#[derive(Deserialize)]
struct Outage {
    unreachable: bool,
}

async fn outage(cluster: Data<SimulatedCluster>, body: Json<Outage>) -> impl Responder {
    cluster.set_unreachable(body.unreachable);
    HttpResponse::Ok().json(json!({ "unreachable": body.unreachable }))
}
