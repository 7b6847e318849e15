//! The API server's refusals, sorted by who can do something about them.

use kube::{core::Status, error::Error};

use crate::cluster::ClusterError;

const UNAUTHORIZED: u16 = 401;
const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;
const CONFLICT: u16 = 409;
const UNPROCESSABLE: u16 = 422;
const BAD_REQUEST: u16 = 400;

/// What a failed call means.
pub(super) fn classify(what: &str, error: &Error) -> ClusterError {
    let what = what.to_owned();
    let Error::Api(status) = error else {
        return ClusterError::Unreachable { what, source: Some(error.to_string().into()) };
    };
    let reason = status.message.clone();
    match status.code {
        UNAUTHORIZED => ClusterError::NotPermitted { what, reason },
        FORBIDDEN if is_ending(status) => ClusterError::Ending { what, reason },
        FORBIDDEN if quota_is_uncounted(status) => passing(what, status),
        FORBIDDEN if reason.contains("exceeded quota") => ClusterError::QuotaExceeded { what, reason },
        FORBIDDEN if is_rbac(&reason) => ClusterError::NotPermitted { what, reason },
        FORBIDDEN => ClusterError::Forbidden { what, reason },
        CONFLICT if status.reason == "Conflict" && !rivals(status).is_empty() => {
            ClusterError::Conflict { what, manager: rivals(status).join(", ") }
        }
        // A missing namespace while it is being made or unmade.
        NOT_FOUND if reason.starts_with("namespaces ") => passing(what, status),
        BAD_REQUEST | UNPROCESSABLE | NOT_FOUND => ClusterError::Invalid { what, reason },
        _ => passing(what, status),
    }
}

/// Whether a quota was written a moment ago and nobody has counted yet.
pub(super) fn quota_is_new(error: &Error) -> bool {
    matches!(error, Error::Api(status) if quota_is_uncounted(status))
}

/// The other managers that a refused apply names.
pub(super) fn rivals(status: &Status) -> Vec<String> {
    let mut managers: Vec<String> =
        causes(status).filter_map(|(message, _)| message.split('"').nth(1).map(str::to_owned)).collect();
    managers.sort();
    managers.dedup();
    managers
}

/// The fields a refused apply names.
pub(super) fn fields(status: &Status) -> Vec<String> {
    causes(status).map(|(_, field)| field.to_owned()).collect()
}

fn causes(status: &Status) -> impl Iterator<Item = (&str, &str)> {
    status
        .details
        .iter()
        .flat_map(|details| &details.causes)
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| (cause.message.as_str(), cause.field.as_str()))
}

/// Whether an object was written since the version that was named; or was made, or went.
pub(super) fn is_stale(status: &Status) -> bool {
    status.code == CONFLICT && rivals(status).is_empty()
}

pub(super) fn passing(what: String, status: &Status) -> ClusterError {
    ClusterError::Unreachable { what, source: Some(Box::new(status.clone())) }
}

fn quota_is_uncounted(status: &Status) -> bool {
    status.code == FORBIDDEN && status.message.contains("status unknown for quota")
}

fn is_ending(status: &Status) -> bool {
    status.code == FORBIDDEN && status.message.contains("because it is being terminated")
}

/// The authoriser's own words, as opposed to an admission rule's.
fn is_rbac(message: &str) -> bool {
    message.contains("User \"") && message.contains("\" cannot ")
}

#[cfg(test)]
mod tests {
    use kube::core::response::{StatusCause, StatusDetails};

    use super::*;

    fn status(code: u16, reason: &str, message: &str) -> Status {
        Status { code, ..Status::failure(message, reason) }
    }

    fn kind(status: Status) -> &'static str {
        classify("apply x", &Error::Api(Box::new(status))).kind()
    }

    #[test]
    fn each_refusal_goes_to_whoever_can_help() {
        let cases = [
            (403, "pods \"a\" is forbidden: exceeded quota: customer, requested: pods=1", "quota_exceeded"),
            (403, "status unknown for quota: customer, resources: services", "unreachable"),
            (403, "cannot create: namespace x because it is being terminated", "ending"),
            (403, "deployments is forbidden: User \"system:x\" cannot patch resource \"deployments\"", "not_permitted"),
            (403, "violates PodSecurity \"restricted:latest\": privileged", "forbidden"),
            (401, "Unauthorized", "not_permitted"),
            (422, "spec.x: Invalid value", "invalid"),
            (404, "namespaces \"customer-x\" not found", "unreachable"),
            (429, "too many requests", "unreachable"),
            (500, "etcdserver: leader changed", "unreachable"),
            (503, "shutting down", "unreachable"),
        ];
        for (code, message, expected) in cases {
            assert_eq!(kind(status(code, "", message)), expected, "{message}");
        }
    }

    #[test]
    fn a_conflict_names_the_rival() {
        let mut refused = status(409, "Conflict", "Apply failed with 1 conflict");
        let causes = vec![StatusCause {
            reason: "FieldManagerConflict".into(),
            message: "conflict with \"kubectl-edit\" using apps/v1".into(),
            field: ".spec.replicas".into(),
        }];
        let text = String::new;
        refused.details = Some(StatusDetails {
            name: text(),
            group: text(),
            kind: text(),
            uid: text(),
            causes,
            retry_after_seconds: 0,
        });
        assert_eq!(rivals(&refused), ["kubectl-edit"]);
        assert_eq!(fields(&refused), [".spec.replicas"]);
        assert_eq!(kind(refused), "conflict");
    }

    #[test]
    fn a_write_race_is_no_rival_and_passes() {
        assert_eq!(kind(status(409, "Conflict", "the object has been modified")), "unreachable");
    }
}
