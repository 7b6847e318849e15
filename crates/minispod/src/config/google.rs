//! Signing in with Google.

use minispod_auth::google::GOOGLE_KEYS_URL;
use serde::{Deserialize, Serialize};

/// Whether and for which application Google's word is taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Google {
    pub enabled: bool,
    /// Our application at Google; tokens for others are refused.
    pub client_id: String,
    /// Where the keys are published.
    pub keys_url: String,
}

impl Default for Google {
    fn default() -> Self {
        Self { enabled: false, client_id: String::new(), keys_url: GOOGLE_KEYS_URL.into() }
    }
}
