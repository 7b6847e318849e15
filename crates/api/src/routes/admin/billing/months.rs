//! The months that reports of recurring revenue are asked for.

use actix_web::HttpRequest;
use minispod_projections::recurring::{self, Month};
use serde_json::{Value, json};

use crate::{
    csv,
    error::ApiError,
    input::{Query, days::Range},
    refusals::read_failed,
    state::AppState,
};

/// The months and how they are to be shown.
pub struct Asked {
    pub is_file: bool,
    pub range: Range,
    pub months: Vec<Month>,
}

impl Asked {
    /// `{from, to}`.
    pub fn period(&self) -> Value {
        json!({ "from": self.range.from.to_string(), "to": self.range.to.to_string() })
    }
}

/// What the query string asks for. The last month counts up to the last day.
pub async fn asked(state: &AppState, request: &HttpRequest) -> Result<Asked, ApiError> {
    let mut query = Query::of(request);
    let is_file = csv::is_wanted(request, &mut query);
    let range = query.range_of_months(state.clock.now());
    query.finish()?;
    let rows = recurring::months(state.pool(), &range.to.to_string()).await.map_err(read_failed)?;
    Ok(Asked { is_file, range, months: recurring::series(&rows, &range.each_month()) })
}
