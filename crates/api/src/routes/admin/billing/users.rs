//! `GET /admin/billing/users`: accounts with their balance and last lines, newest account first.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_projections::{
    billing::{self, TransactionRow},
    subscriptions,
    users::{self, UserFilter, UserRow},
};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    input::Query,
    refusals::read_failed,
    state::AppState,
    views,
};

const DEFAULT_LIMIT: u32 = 20;
/// Longest search text.
const SEARCH_MAX: usize = 100;
/// Lines of each account's history.
const RECENT: u32 = 5;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadBilling)?;
    let mut query = Query::of(&request);
    let page = query.page(DEFAULT_LIMIT);
    let filter = UserFilter { search: query.text("search", SEARCH_MAX), ..UserFilter::default() };
    query.finish()?;
    let page = users::page(state.pool(), &filter, page).await.map_err(read_failed)?;
    let books = Books::of(&state, page.rows.iter().map(|user| user.id.clone()).collect()).await?;
    let data = json!({
        "users": page.rows.iter().map(|user| books.account(user)).collect::<Value>(),
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("Users' billing retrieved successfully", data))
}

/// The money of one page of accounts, each question asked once for all of them.
struct Books {
    wallets: BTreeMap<String, billing::WalletRow>,
    transactions: BTreeMap<String, i64>,
    subscriptions: BTreeMap<String, i64>,
    recent: Vec<TransactionRow>,
}

impl Books {
    async fn of(state: &AppState, ids: Vec<String>) -> std::result::Result<Self, ApiError> {
        let pool = state.pool();
        let wallets = billing::balances(pool, &ids).await.map_err(read_failed)?;
        let transactions = billing::transaction_counts(pool, &ids).await.map_err(read_failed)?;
        let subscriptions = subscriptions::count_by_user(pool, &ids).await.map_err(read_failed)?;
        Ok(Self {
            wallets: wallets.into_iter().map(|wallet| (wallet.user_id.clone(), wallet)).collect(),
            transactions: transactions.into_iter().collect(),
            subscriptions: subscriptions.into_iter().collect(),
            recent: billing::newest_of_users(pool, &ids, RECENT).await.map_err(read_failed)?,
        })
    }

    fn account(&self, user: &UserRow) -> Value {
        let count = |counts: &BTreeMap<String, i64>| counts.get(&user.id).copied().unwrap_or(0);
        let recent = self.recent.iter().filter(|line| line.user_id == user.id).map(|line| {
            json!({
                "id": line.id,
                "type": line.kind.as_str(),
                "amount": line.amount.to_string(),
                "status": line.status.as_str(),
                "createdAt": line.created_at.to_contract(),
            })
        });
        let mut view = views::people::me(user);
        view["balance"] = views::money::balance(self.wallets.get(&user.id), user.created_at);
        view["statistics"] = json!({
            "totalTransactions": count(&self.transactions),
            "totalSubscriptions": count(&self.subscriptions),
        });
        view["recentTransactions"] = recent.collect();
        view
    }
}
