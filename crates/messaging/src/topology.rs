//! Streams and consumers as the files in `nats/` say: create, update, compare, recreate.

mod drift;
mod overlay;

use std::time::Duration;

use async_nats::jetstream::{
    self,
    consumer::{self, Consumer},
};
use minispod_kernel::LogPosition;
use serde_json::{Value, json};

pub use drift::Drift;
pub use overlay::{Lowering, Overlay, OverlayError, read_overlay};

use crate::{
    Nats, RequestError,
    connection::{CONSUMER_NOT_FOUND, STREAM_NOT_FOUND},
    stream::EVENT_STREAM,
};

/// Files of `nats/streams`, by stream name.
pub const STREAMS: [(&str, &str); 2] = [
    ("MINISPOD_EVT", include_str!("../../../nats/streams/MINISPOD_EVT.json")),
    ("MINISPOD_DLQ", include_str!("../../../nats/streams/MINISPOD_DLQ.json")),
];
/// Files of `nats/consumers`, by role.
pub const CONSUMERS: [(&str, &str); 4] = [
    ("projector", include_str!("../../../nats/consumers/projector.json")),
    ("billing", include_str!("../../../nats/consumers/billing.json")),
    ("provisioner", include_str!("../../../nats/consumers/provisioner.json")),
    ("mailer", include_str!("../../../nats/consumers/mailer.json")),
];
/// The server's code for "stream name already in use": somebody else created it at the same moment.
const STREAM_NAME_IN_USE: u64 = 10_058;
/// Consumer fields that follow the role's checkpoint, not the file.
const FROM_CHECKPOINT: [&str; 3] = ["deliver_policy", "opt_start_seq", "opt_start_time"];

/// The configuration could not be applied or compared.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    #[error("the file of {name} is not JSON")]
    File { name: String, source: serde_json::Error },
    #[error("{name} has no file in nats/")]
    Unknown { name: String },
    #[error("{what} {name} failed")]
    Request { what: &'static str, name: String, source: RequestError },
    #[error(
        "{name} has {found} copies of every message and would have {wanted}; nothing was changed. If that is meant, say \
         --allow-lower"
    )]
    Lowering { name: String, found: u64, wanted: u64 },
    #[error("the consumer of {role} could not be made")]
    Consumer { role: String, source: jetstream::stream::ConsumerError },
}

/// What applying did to one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Created,
    Updated,
    Unchanged,
}

/// Creates what is missing and updates what differs, streams first. Never takes copies away from a stream.
pub async fn apply(nats: &Nats, overlay: &Overlay) -> Result<Vec<(String, Applied)>, TopologyError> {
    apply_as(nats, overlay, Lowering::Refused).await
}

/// As [`apply`], saying what happens to a stream with more copies than wanted. What is refused changes nothing.
pub async fn apply_as(
    nats: &Nats,
    overlay: &Overlay,
    lowering: Lowering,
) -> Result<Vec<(String, Applied)>, TopologyError> {
    let mut plan = Vec::new();
    for (name, _) in STREAMS {
        let wanted = stream_file(name, overlay)?;
        let step = match found_stream(nats, name).await? {
            None => Some((Applied::Created, wanted)),
            Some(found) => {
                overlay::update(name, wanted, &found, overlay, lowering)?.map(|wanted| (Applied::Updated, wanted))
            }
        };
        plan.push((name, step));
    }
    let mut done = Vec::new();
    for (name, step) in plan {
        let applied = match step {
            None => Applied::Unchanged,
            Some((Applied::Created, wanted)) => {
                request(nats, "creating", name, format!("STREAM.CREATE.{name}"), &wanted).await?;
                Applied::Created
            }
            Some((applied, wanted)) => {
                request(nats, "updating", name, format!("STREAM.UPDATE.{name}"), &wanted).await?;
                applied
            }
        };
        done.push((name.to_owned(), applied));
    }
    for (role, _) in CONSUMERS {
        done.push((role.to_owned(), apply_consumer(nats, role).await?));
    }
    Ok(done)
}

async fn apply_consumer(nats: &Nats, role: &str) -> Result<Applied, TopologyError> {
    let mut wanted = consumer_file(role)?;
    let applied = match found_consumer(nats, role).await? {
        None => Applied::Created,
        Some(found) => {
            let compared = without_start(&wanted);
            if drift::compare("", &compared, &found).is_empty() {
                return Ok(Applied::Unchanged);
            }
            // Where it stands stays as it is; only the rest may be updated.
            for field in FROM_CHECKPOINT {
                match found.get(field) {
                    Some(value) => wanted[field] = value.clone(),
                    None => drop(wanted.as_object_mut().and_then(|fields| fields.remove(field))),
                }
            }
            Applied::Updated
        }
    };
    let body = json!({ "stream_name": EVENT_STREAM, "config": wanted });
    request(nats, "applying consumer", role, format!("CONSUMER.CREATE.{EVENT_STREAM}.{role}"), &body).await?;
    Ok(applied)
}

/// Every field in which the server differs from the files; empty: all is as it should be.
pub async fn verify(nats: &Nats) -> Result<Vec<Drift>, TopologyError> {
    let mut drifts = verify_streams(nats, &Overlay::new()).await?;
    drifts.extend(verify_consumers(nats).await?);
    Ok(drifts)
}

/// The streams' part of [`verify`]: what the relay may ask. Roles need no more, for each makes its consumer anew.
pub async fn verify_streams(nats: &Nats, overlay: &Overlay) -> Result<Vec<Drift>, TopologyError> {
    let mut drifts = Vec::new();
    for (name, _) in STREAMS {
        let wanted = stream_file(name, overlay)?;
        match found_stream(nats, name).await? {
            Some(found) => drifts.extend(overlay::compare(name, &wanted, &found, overlay)),
            None => drifts.push(Drift::absent(name)),
        }
    }
    Ok(drifts)
}

/// The consumers' part of [`verify`]: what `analyst` may ask.
pub async fn verify_consumers(nats: &Nats) -> Result<Vec<Drift>, TopologyError> {
    let mut drifts = Vec::new();
    for (role, _) in CONSUMERS {
        let wanted = without_start(&consumer_file(role)?);
        match found_consumer(nats, role).await? {
            Some(found) => drifts.extend(drift::compare(role, &wanted, &found)),
            None => drifts.push(Drift::absent(role)),
        }
    }
    Ok(drifts)
}

/// Creates a stream from its file when it is missing; whether it was. What exists is left alone.
pub async fn ensure_stream(nats: &Nats, name: &str, overlay: &Overlay) -> Result<bool, TopologyError> {
    if found_stream(nats, name).await?.is_some() {
        return Ok(false);
    }
    let wanted = stream_file(name, overlay)?;
    create_stream(nats, name, &wanted).await
}

async fn create_stream(nats: &Nats, name: &str, wanted: &Value) -> Result<bool, TopologyError> {
    match nats.api(&format!("STREAM.CREATE.{name}"), wanted).await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some(STREAM_NAME_IN_USE) => Ok(false),
        Err(source) => Err(TopologyError::Request { what: "creating", name: name.to_owned(), source }),
    }
}

/// Drops the event stream, if there is one, and creates it empty; its first message will be `first_sequence`.
/// The caller publishes the log into it again. Consumers are gone with the old stream; roles make theirs anew.
pub async fn recreate_stream(nats: &Nats, first_sequence: u64, overlay: &Overlay) -> Result<(), TopologyError> {
    match nats.api(&format!("STREAM.DELETE.{EVENT_STREAM}"), &Value::Null).await {
        Ok(_) => {}
        Err(error) if error.code() == Some(STREAM_NOT_FOUND) => {}
        Err(source) => {
            return Err(TopologyError::Request { what: "dropping", name: EVENT_STREAM.to_owned(), source });
        }
    }
    let mut wanted = stream_file(EVENT_STREAM, overlay)?;
    if first_sequence > 1 {
        wanted["first_seq"] = json!(first_sequence);
    }
    create_stream(nats, EVENT_STREAM, &wanted).await.map(drop)
}

/// Makes the durable consumer of `role` anew from its file, beginning after `after`.
///
/// Anew, because a consumer that outlived a loss of the stream's tail may stand above its end and would stay silent.
pub async fn ensure_consumer(
    nats: &Nats,
    role: &str,
    after: LogPosition,
) -> Result<Consumer<consumer::pull::Config>, TopologyError> {
    let mut config: consumer::pull::Config = serde_json::from_value(consumer_file(role)?)
        .map_err(|source| TopologyError::File { name: role.to_owned(), source })?;
    config.deliver_policy = match after.0 {
        ..=0 => consumer::DeliverPolicy::All,
        position => consumer::DeliverPolicy::ByStartSequence { start_sequence: position.unsigned_abs() + 1 },
    };
    match nats.api(&format!("CONSUMER.DELETE.{EVENT_STREAM}.{role}"), &Value::Null).await {
        Ok(_) => {}
        Err(error) if matches!(error.code(), Some(CONSUMER_NOT_FOUND | STREAM_NOT_FOUND)) => {}
        Err(source) => {
            return Err(TopologyError::Request { what: "dropping the consumer of", name: role.to_owned(), source });
        }
    }
    let created = nats.jetstream().create_consumer_on_stream(config, EVENT_STREAM);
    tokio::time::timeout(crate::connection::REQUEST_TIMEOUT + Duration::from_secs(1), created)
        .await
        .unwrap_or_else(|_| Err(jetstream::stream::ConsumerErrorKind::TimedOut.into()))
        .map_err(|source| TopologyError::Consumer { role: role.to_owned(), source })
}

/// A stream's file with its overlay.
pub fn stream_file(name: &str, overlay: &Overlay) -> Result<Value, TopologyError> {
    let mut wanted = file(&STREAMS, name)?;
    if let (Some(fields), Some(Value::Object(over))) = (wanted.as_object_mut(), overlay.get(name)) {
        fields.extend(over.clone());
    }
    Ok(wanted)
}

/// A consumer's file.
pub fn consumer_file(role: &str) -> Result<Value, TopologyError> {
    file(&CONSUMERS, role)
}

fn file(files: &[(&str, &str)], name: &str) -> Result<Value, TopologyError> {
    let text = files
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
        .ok_or_else(|| TopologyError::Unknown { name: name.to_owned() })?;
    serde_json::from_str(text).map_err(|source| TopologyError::File { name: name.to_owned(), source })
}

fn without_start(file: &Value) -> Value {
    let mut out = file.clone();
    if let Some(fields) = out.as_object_mut() {
        for field in FROM_CHECKPOINT {
            fields.remove(field);
        }
    }
    out
}

async fn request(
    nats: &Nats,
    what: &'static str,
    name: &str,
    subject: String,
    body: &Value,
) -> Result<Value, TopologyError> {
    nats.api(&subject, body).await.map_err(|source| TopologyError::Request { what, name: name.to_owned(), source })
}

async fn found_stream(nats: &Nats, name: &str) -> Result<Option<Value>, TopologyError> {
    found(nats, name, format!("STREAM.INFO.{name}")).await
}

async fn found_consumer(nats: &Nats, role: &str) -> Result<Option<Value>, TopologyError> {
    found(nats, role, format!("CONSUMER.INFO.{EVENT_STREAM}.{role}")).await
}

/// The `config` of an info answer; `None` when the server has no such object.
async fn found(nats: &Nats, name: &str, subject: String) -> Result<Option<Value>, TopologyError> {
    match nats.api(&subject, &Value::Null).await {
        Ok(mut info) => Ok(info.get_mut("config").map(Value::take)),
        Err(error) if matches!(error.code(), Some(STREAM_NOT_FOUND | CONSUMER_NOT_FOUND)) => Ok(None),
        Err(source) => Err(TopologyError::Request { what: "asking about", name: name.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_what_the_library_and_the_server_read() {
        for (name, text) in STREAMS {
            let config: jetstream::stream::Config = serde_json::from_str(text).expect(name);
            assert_eq!(config.name, name);
        }
        for (role, text) in CONSUMERS {
            let config: consumer::pull::Config = serde_json::from_str(text).expect(role);
            assert_eq!(config.durable_name.as_deref(), Some(role));
            assert!(config.filter_subject.is_empty(), "{role} must see every sequence to notice a missing one");
        }
    }

    #[test]
    fn an_overlay_changes_only_what_it_names() {
        let overlay: Overlay =
            serde_json::from_value(json!({ "MINISPOD_EVT": { "num_replicas": 3 } })).expect("an object");
        let plain = stream_file("MINISPOD_EVT", &Overlay::new()).expect("known");
        let mut laid = stream_file("MINISPOD_EVT", &overlay).expect("known");
        assert_eq!(laid["num_replicas"], 3);
        laid["num_replicas"] = plain["num_replicas"].clone();
        assert_eq!(laid, plain);
    }
}
