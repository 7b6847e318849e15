//! Comparing a file of `nats/` with what the server has: only the fields the file names.

use serde_json::Value;

/// Set per installation or by the server itself, so never drift.
pub(super) const NOT_COMPARED: [&str; 3] = ["first_seq", "num_replicas", "placement"];
const SERVER_METADATA: &str = "_nats.";

/// One difference between a file and the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// Stream name or role.
    pub object: String,
    /// Dotted path; empty when the object itself is missing.
    pub field: String,
    pub wanted: Value,
    pub found: Value,
}

impl Drift {
    /// The object is not there at all.
    pub fn absent(object: &str) -> Self {
        Self { object: object.to_owned(), field: String::new(), wanted: Value::Bool(true), found: Value::Null }
    }
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.field.is_empty() {
            return write!(f, "{} does not exist", self.object);
        }
        write!(f, "{}: {} is {}, the file says {}", self.object, self.field, self.found, self.wanted)
    }
}

/// The differences of `found` from what `wanted` names.
pub fn compare(object: &str, wanted: &Value, found: &Value) -> Vec<Drift> {
    let mut drifts = Vec::new();
    walk(object, "", wanted, found, &mut drifts);
    drifts
}

fn walk(object: &str, path: &str, wanted: &Value, found: &Value, drifts: &mut Vec<Drift>) {
    if let (Value::Object(fields), Value::Object(_) | Value::Null) = (wanted, found) {
        for (name, value) in fields {
            if NOT_COMPARED.contains(&name.as_str()) || name.starts_with(SERVER_METADATA) {
                continue;
            }
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            walk(object, &path, value, found.get(name).unwrap_or(&Value::Null), drifts);
        }
    } else if wanted != found && !(is_default(wanted) && found.is_null()) {
        drifts.push(Drift {
            object: object.to_owned(),
            field: path.to_owned(),
            wanted: wanted.clone(),
            found: found.clone(),
        });
    }
}

/// The server leaves out what has its default.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_named_fields_count_and_the_servers_own_never_do() {
        let wanted = json!({ "a": 1, "b": false, "num_replicas": 1, "first_seq": 4, "metadata": { "_nats.ver": "x", "k": "v" } });
        let found = json!({ "a": 1, "other": 9, "num_replicas": 3, "metadata": { "k": "v" } });
        assert_eq!(compare("S", &wanted, &found), Vec::new());
        let drifted = json!({ "a": 2, "b": true, "metadata": {} });
        let fields: Vec<String> = compare("S", &wanted, &drifted).into_iter().map(|drift| drift.field).collect();
        assert_eq!(fields, ["a", "b", "metadata.k"]);
    }
}
