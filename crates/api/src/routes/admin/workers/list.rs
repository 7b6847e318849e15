//! `GET /admin/workers`: nodes, newest first unless another order is asked for.

use std::cmp::Ordering;

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_domain::ports::fleet::{NodeSeen, NodeStanding};
use minispod_projections::{Page, PageRequest};
use serde_json::json;

use super::view;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    fleet::{fleet, fleet_failed},
    input::Query,
    state::AppState,
    views,
};

/// The client sends no page and has no pager, so the first page is all it shows.
const DEFAULT_LIMIT: u32 = 50;
/// Longest search text.
const SEARCH_MAX: usize = 100;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadNodes)?;
    let (wish, page) = Wish::read(&request)?;
    let fleet = fleet(&state)?;
    let nodes = wish.apply(fleet.nodes().await.map_err(fleet_failed)?);
    let page = Page::among(page, nodes);
    let data = json!({
        "workers": page.rows.iter().map(|node| view(&state, node)).collect::<Vec<_>>(),
        "pagination": views::pages_around(&page),
        "simulated": fleet.is_simulated(),
    });
    Ok(Answer::ok("Workers retrieved successfully", data))
}

/// By what nodes are ordered: amounts as amounts, not as texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Name,
    Hostname,
    CpuCores,
    TotalMemory,
    Status,
    CreatedAt,
}

const SORTS: [(&str, Sort); 6] = [
    ("name", Sort::Name),
    ("hostname", Sort::Hostname),
    ("cpuCores", Sort::CpuCores),
    ("totalMemory", Sort::TotalMemory),
    ("status", Sort::Status),
    ("createdAt", Sort::CreatedAt),
];

impl Sort {
    fn compare(self, one: &NodeSeen, other: &NodeSeen) -> Ordering {
        let first = match self {
            Self::Name => Ordering::Equal,
            Self::Hostname => views::nodes::hostname(one).cmp(views::nodes::hostname(other)),
            Self::CpuCores => one.room.cpu_millis.cmp(&other.room.cpu_millis),
            Self::TotalMemory => one.room.memory_bytes.cmp(&other.room.memory_bytes),
            Self::Status => one.standing().as_str().cmp(other.standing().as_str()),
            Self::CreatedAt => one.created_at.cmp(&other.created_at),
        };
        first.then_with(|| one.name.cmp(&other.name))
    }
}

/// Which nodes in which order.
struct Wish {
    status: Option<NodeStanding>,
    schedulable: Option<bool>,
    ready: Option<bool>,
    /// In lower case.
    search: Option<String>,
    sort: Sort,
    ascending: bool,
}

impl Wish {
    fn read(request: &HttpRequest) -> std::result::Result<(Self, PageRequest), ApiError> {
        let mut query = Query::of(request);
        let page = query.page(DEFAULT_LIMIT);
        let words = NodeStanding::ALL.map(NodeStanding::as_str);
        let status = |word: &str| NodeStanding::ALL.into_iter().find(|standing| standing.as_str() == word);
        let sort = |word: &str| SORTS.into_iter().find(|(name, _)| *name == word).map(|(_, sort)| sort);
        let wish = Self {
            status: query.word("status", status, &words),
            schedulable: query.flag("isSchedulable"),
            ready: query.flag("isReady"),
            search: query.text("search", SEARCH_MAX).map(|text| text.to_lowercase()),
            sort: query.word("sortBy", sort, &SORTS.map(|(name, _)| name)).unwrap_or(Sort::CreatedAt),
            ascending: query.word("sortOrder", ascending, &["asc", "desc"]).unwrap_or(false),
        };
        query.finish()?;
        Ok((wish, page))
    }

    fn wants(&self, node: &NodeSeen) -> bool {
        let found = |text: &String| {
            let address = views::nodes::address(node);
            [node.name.as_str(), views::nodes::hostname(node), address]
                .iter()
                .any(|word| word.to_lowercase().contains(text))
        };
        self.status.is_none_or(|status| node.standing() == status)
            && self.schedulable.is_none_or(|schedulable| node.schedulable == schedulable)
            && self.ready.is_none_or(|ready| node.is_ready() == ready)
            && self.search.as_ref().is_none_or(found)
    }

    fn apply(&self, nodes: Vec<NodeSeen>) -> Vec<NodeSeen> {
        let mut nodes: Vec<NodeSeen> = nodes.into_iter().filter(|node| self.wants(node)).collect();
        nodes.sort_by(|one, other| self.sort.compare(one, other));
        if !self.ascending {
            nodes.reverse();
        }
        nodes
    }
}

fn ascending(word: &str) -> Option<bool> {
    match word {
        "asc" => Some(true),
        "desc" => Some(false),
        _ => None,
    }
}
