//! How the hosts that customers bring look.

use minispod_domain::custom_domains::{LAPSED, proof_name, proof_value};
use minispod_projections::custom_domains::{CustomDomainRow, CustomDomainStatus};
use serde_json::{Value, json};

use super::instant;

/// One host; `target` is the platform's own host of its service.
pub fn full(row: &CustomDomainRow, target: &str) -> Value {
    json!({
        "host": row.host,
        "status": row.status.as_str(),
        "primary": row.preferred,
        "detail": detail(row),
        "records": [
            { "type": "TXT", "name": proof_name(&row.host), "value": proof_value(&row.challenge), "purpose": "proof" },
            { "type": "CNAME", "name": row.host, "value": target, "purpose": "address" },
        ],
        "expiresAt": (row.status == CustomDomainStatus::Pending).then(|| row.expires_at.to_contract()),
        "verifiedAt": instant(row.verified_at),
        "createdAt": row.created_at.to_contract(),
        "updatedAt": row.updated_at.to_contract(),
    })
}

/// One host and whose it is.
pub fn for_administrators(row: &CustomDomainRow) -> Value {
    json!({
        "host": row.host,
        "status": row.status.as_str(),
        "primary": row.preferred,
        "detail": detail(row),
        "subscriptionId": row.subscription_id,
        "podId": row.instance_id,
        "userId": row.user_id,
        "verifiedAt": instant(row.verified_at),
        "createdAt": row.created_at.to_contract(),
    })
}

/// The platform's own host, when the public address has it.
pub fn own(target: &str) -> Value {
    json!({ "host": target, "primary": true })
}

/// What is wrong with it, in words.
fn detail(row: &CustomDomainRow) -> Option<String> {
    let finding = row.finding.as_deref();
    match row.status {
        CustomDomainStatus::Pending => finding.map(str::to_owned),
        CustomDomainStatus::Verified => None,
        CustomDomainStatus::Rejected => Some(match finding {
            Some(LAPSED) => "its record did not come in time; add it again".to_owned(),
            Some("claim-taken") => "another service answers to this host".to_owned(),
            other => format!("it was refused ({})", other.unwrap_or("unknown")),
        }),
    }
}
