//! What one installation decides over the files of `nats/`: copies, places and bounds of its streams.

use serde_json::{Map, Value};

use super::{
    STREAMS, TopologyError,
    drift::{self, Drift, NOT_COMPARED},
};

/// By stream: `{"MINISPOD_EVT": {"num_replicas": 3}}`.
pub type Overlay = Map<String, Value>;

/// What an installation may decide. The rest is what a stream is, and the same everywhere.
const OURS_TO_DECIDE: [&str; 6] =
    ["num_replicas", "placement", "compression", "metadata", "max_bytes", "max_consumers"];
/// Copies of undigested messages may be kept for less time; events are kept for ever.
const ALSO_OF_DEAD_LETTERS: [&str; 2] = ["max_age", "max_msgs"];
const DEAD_LETTERS: &str = "MINISPOD_DLQ";
const REPLICAS: &str = "num_replicas";

/// What happens to a stream that has more copies of every message than wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lowering {
    Refused,
    Allowed,
}

/// Why a text is no overlay.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    #[error("it is not a JSON object")]
    Json {
        #[source]
        source: serde_json::Error,
    },
    #[error("there is no stream {0}; there are MINISPOD_EVT and MINISPOD_DLQ")]
    NoStream(String),
    #[error("{0} must be an object of fields")]
    NoObject(String),
    #[error("{field} of {stream} is not an installation's to decide; these are: {allowed}")]
    Field { stream: String, field: String, allowed: String },
}

/// Reads and checks an overlay: a misspelt field would be passed over by the server in silence.
pub fn read_overlay(text: &str) -> Result<Overlay, OverlayError> {
    let overlay: Overlay = serde_json::from_str(text).map_err(|source| OverlayError::Json { source })?;
    for (stream, fields) in &overlay {
        if !STREAMS.iter().any(|(name, _)| name == stream) {
            return Err(OverlayError::NoStream(stream.clone()));
        }
        let fields = fields.as_object().ok_or_else(|| OverlayError::NoObject(stream.clone()))?;
        let more: &[&str] = if stream == DEAD_LETTERS { &ALSO_OF_DEAD_LETTERS } else { &[] };
        let allowed: Vec<&str> = OURS_TO_DECIDE.iter().chain(more).copied().collect();
        if let Some(field) = fields.keys().find(|field| !allowed.contains(&field.as_str())) {
            let (stream, field) = (stream.clone(), field.clone());
            return Err(OverlayError::Field { stream, field, allowed: allowed.join(", ") });
        }
    }
    Ok(overlay)
}

/// What to send so that `found` becomes as wanted; `None` when it is. What is set per installation and not named by the
/// overlay stays as it is found.
pub(super) fn update(
    name: &str,
    mut wanted: Value,
    found: &Value,
    overlay: &Overlay,
    lowering: Lowering,
) -> Result<Option<Value>, TopologyError> {
    for field in NOT_COMPARED {
        let is_lowered = field == REPLICAS && lowering == Lowering::Allowed;
        if is_named(overlay, name, field) || is_lowered {
            continue;
        }
        let Some(fields) = wanted.as_object_mut() else { continue };
        match found.get(field) {
            Some(value) => fields.insert(field.to_owned(), value.clone()),
            None => fields.remove(field),
        };
    }
    let (has, wants) = (copies(found), copies(&wanted));
    if has > wants && lowering == Lowering::Refused {
        return Err(TopologyError::Lowering { name: name.to_owned(), found: has, wanted: wants });
    }
    let differs = has != wants || !compare(name, &wanted, found, overlay).is_empty();
    Ok(differs.then_some(wanted))
}

/// The differences, with those fields that an installation sets and the overlay names.
pub(super) fn compare(name: &str, wanted: &Value, found: &Value, overlay: &Overlay) -> Vec<Drift> {
    let mut drifts = drift::compare(name, wanted, found);
    for field in NOT_COMPARED.into_iter().filter(|field| is_named(overlay, name, field)) {
        let of = |object: &Value| object.get(field).cloned().unwrap_or(Value::Null);
        if of(wanted) != of(found) {
            drifts.push(Drift {
                object: name.to_owned(),
                field: field.to_owned(),
                wanted: of(wanted),
                found: of(found),
            });
        }
    }
    drifts
}

fn is_named(overlay: &Overlay, stream: &str, field: &str) -> bool {
    overlay.get(stream).is_some_and(|fields| fields.get(field).is_some())
}

/// The server leaves out what has its default.
fn copies(stream: &Value) -> u64 {
    stream.get(REPLICAS).and_then(Value::as_u64).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EVT: &str = "MINISPOD_EVT";

    fn planned(overlay: &str, found: Value, lowering: Lowering) -> Result<Option<Value>, TopologyError> {
        let overlay = read_overlay(overlay).expect("an overlay");
        let wanted = super::super::stream_file(EVT, &overlay).expect("known");
        let mut server = super::super::stream_file(EVT, &Overlay::new()).expect("known");
        server.as_object_mut().expect("an object").extend(found.as_object().expect("an object").clone());
        update(EVT, wanted, &server, &overlay, lowering)
    }

    #[test]
    fn copies_are_never_taken_away_in_silence() {
        let three = json!({ "num_replicas": 3, "placement": { "cluster": "a" }, "first_seq": 7 });
        let plain = planned("{}", three.clone(), Lowering::Refused).expect("nothing is asked");
        assert_eq!(plain, None, "the files alone leave an installation's copies alone");
        let mut drifted = three.clone();
        drifted["allow_direct"] = json!(false);
        let mended = planned("{}", drifted, Lowering::Refused).expect("it can be mended").expect("it differs");
        assert_eq!((&mended["num_replicas"], &mended["first_seq"]), (&json!(3), &json!(7)));
        assert_eq!(mended["placement"], json!({ "cluster": "a" }));
        let one = r#"{"MINISPOD_EVT": {"num_replicas": 1}}"#;
        let refused = planned(one, three.clone(), Lowering::Refused).expect_err("it would lose copies").to_string();
        assert!(refused.contains("3 copies") && refused.contains("--allow-lower"), "{refused}");
        for overlay in [one, "{}"] {
            let lowered = planned(overlay, three.clone(), Lowering::Allowed).expect("meant").expect("differs");
            assert_eq!(lowered["num_replicas"], 1);
        }
    }

    #[test]
    fn copies_are_raised_and_a_server_without_them_has_drifted() {
        let text = r#"{"MINISPOD_EVT": {"num_replicas": 3}}"#;
        let raised = planned(text, json!({}), Lowering::Refused).expect("more is never refused").expect("it differs");
        assert_eq!(raised["num_replicas"], 3);
        let overlay = read_overlay(text).expect("an overlay");
        let found = super::super::stream_file(EVT, &Overlay::new()).expect("known");
        let drifts = compare(EVT, &raised, &found, &overlay);
        assert_eq!(drifts.iter().map(|drift| drift.field.as_str()).collect::<Vec<_>>(), ["num_replicas"]);
    }

    #[test]
    fn a_misspelt_field_and_what_a_stream_is_are_refused() {
        for text in [
            "[]",
            r#"{"MINISPOD_EVENTS": {}}"#,
            r#"{"MINISPOD_EVT": 3}"#,
            r#"{"MINISPOD_EVT": {"num_replica": 3}}"#,
            r#"{"MINISPOD_EVT": {"max_age": 1}}"#,
            r#"{"MINISPOD_EVT": {"subjects": ["x"]}}"#,
        ] {
            assert!(read_overlay(text).is_err(), "{text}");
        }
        read_overlay(r#"{"MINISPOD_DLQ": {"max_age": 1}}"#).expect("dead letters may be kept for less time");
    }
}
