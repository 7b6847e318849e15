//! What `deploy/compose.yaml` promises: health checks, no secret with a value, nothing open to the world by itself.

use serde_yaml_ng::{Mapping, Value};

/// Words in the names of variables that hold secrets.
const SECRET_WORDS: &[&str] = &["PASSWORD", "SECRET", "KEY"];

/// Everything that is not as promised.
pub fn complaints(compose: &Value) -> Vec<String> {
    let Some(services) = compose.get("services").and_then(Value::as_mapping) else {
        return vec!["compose.yaml: no services".to_owned()];
    };
    let named = services.iter().filter_map(|(name, service)| Some((name.as_str()?, service.as_mapping()?)));
    named.flat_map(|(name, service)| of_service(name, service)).collect()
}

fn of_service(name: &str, service: &Mapping) -> Vec<String> {
    let mut found = Vec::new();
    let ends_by_itself = service.get("restart").and_then(Value::as_str) == Some("no");
    if !ends_by_itself && !service.contains_key("healthcheck") {
        found.push(format!("compose.yaml: {name} has no health check"));
    }
    for needed in ["image", "networks"] {
        if !service.contains_key(needed) {
            found.push(format!("compose.yaml: {name} names no {needed}"));
        }
    }
    let environment = service.get("environment").and_then(Value::as_mapping);
    for (variable, value) in environment.into_iter().flatten() {
        let (variable, value) = (variable.as_str().unwrap_or_default(), value.as_str().unwrap_or_default());
        let is_secret = SECRET_WORDS.iter().any(|word| variable.contains(word));
        if is_secret && !value.contains(":?") {
            found.push(format!("compose.yaml: {name} gives {variable} a value of its own"));
        }
    }
    for port in service.get("ports").and_then(Value::as_sequence).into_iter().flatten() {
        let port = port.as_str().unwrap_or_default();
        if !port.contains("127.0.0.1") {
            found.push(format!("compose.yaml: {name} opens {port} to the world"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str) -> Vec<String> {
        complaints(&serde_yaml_ng::from_str(text).expect("YAML"))
    }

    #[test]
    fn a_careful_service_passes() {
        let text = "services: {a: {image: x, networks: [n], healthcheck: {test: [y]}, ports: ['127.0.0.1:1:1'], \
                    environment: {DB_PASSWORD: '${DB_PASSWORD:?missing}', URL: z}}}";
        assert_eq!(judged(text), Vec::<String>::new());
    }

    #[test]
    fn a_default_password_an_open_port_and_a_missing_health_check_are_found() {
        let text = "services: {a: {image: x, networks: [n], ports: ['80:80'], environment: {DB_PASSWORD: admin}}}";
        assert_eq!(judged(text).len(), 3);
        let job = "services: {a: {image: x, networks: [n], restart: 'no'}}";
        assert_eq!(judged(job), Vec::<String>::new());
    }
}
