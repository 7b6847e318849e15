//! Rows as JSON: folded in memory for one batch of facts, written back in one statement, read back for answers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, de::DeserializeOwned};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder, types::Json};

use crate::ProjectionError;

/// One row of one table. Its JSON names are the column names.
pub(crate) trait Row: Serialize + DeserializeOwned + Clone + Send + Sync + Unpin + 'static {
    /// The unqualified table name.
    const TABLE: &'static str;
    /// Every column, the primary key first.
    const COLUMNS: &'static [&'static str];
    /// The primary key.
    fn key(&self) -> &str;
}

/// The rows that one batch touches. Two round trips whatever the batch's size: one read, one write.
pub(crate) struct Rows<R> {
    rows: BTreeMap<String, R>,
    changed: BTreeSet<String>,
}

impl<R: Row> Rows<R> {
    /// Reads the rows of `keys`; keys without a row are fine.
    pub(crate) async fn load(tx: &mut PgConnection, keys: BTreeSet<String>) -> Result<Self, ProjectionError> {
        let mut rows = BTreeMap::new();
        if !keys.is_empty() {
            let keys: Vec<String> = keys.into_iter().collect();
            let sql = format!("SELECT to_jsonb(t) FROM {} t WHERE {} = ANY($1)", R::TABLE, R::COLUMNS[0]);
            let found: Vec<Json<R>> =
                sqlx::query_scalar(&sql).bind(&keys).fetch_all(tx).await.map_err(database(R::TABLE))?;
            rows.extend(found.into_iter().map(|Json(row)| (row.key().to_owned(), row)));
        }
        Ok(Self { rows, changed: BTreeSet::new() })
    }

    /// The row as it stands.
    pub(crate) fn get(&self, key: &str) -> Option<&R> {
        self.rows.get(key)
    }

    /// The row, to be changed.
    pub(crate) fn edit(&mut self, key: &str) -> Option<&mut R> {
        let row = self.rows.get_mut(key)?;
        self.changed.insert(key.to_owned());
        Some(row)
    }

    /// A new row, or another one under the same key.
    pub(crate) fn put(&mut self, row: R) {
        self.changed.insert(row.key().to_owned());
        self.rows.insert(row.key().to_owned(), row);
    }

    /// Writes what changed.
    pub(crate) async fn store(self, tx: &mut PgConnection) -> Result<(), ProjectionError> {
        let changed: Vec<&R> = self.changed.iter().filter_map(|key| self.rows.get(key)).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let columns = R::COLUMNS.join(", ");
        let news: Vec<String> = R::COLUMNS.iter().map(|column| format!("EXCLUDED.{column}")).collect();
        let sql = format!(
            "INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, $1) \
             ON CONFLICT ({key}) DO UPDATE SET ({columns}) = ROW({news})",
            table = R::TABLE,
            key = R::COLUMNS[0],
            news = news.join(", "),
        );
        sqlx::query(&sql).bind(Json(&changed)).execute(tx).await.map_err(database(R::TABLE))?;
        Ok(())
    }
}

/// Names the table or question that Postgres refused.
pub(crate) fn database(what: &'static str) -> impl FnOnce(sqlx::Error) -> ProjectionError {
    move |source| ProjectionError::Database { what, source }
}

/// A `SELECT to_jsonb(…) …` whose rows are wanted. The result is one JSON column whatever the view's shape,
/// so a generation switch cannot invalidate it.
pub(crate) async fn rows_of<R>(
    pool: &PgPool,
    what: &'static str,
    mut query: QueryBuilder<'_, Postgres>,
) -> Result<Vec<R>, ProjectionError>
where
    R: DeserializeOwned + Send + Unpin + 'static,
{
    let found: Vec<Json<R>> = query.build_query_scalar().fetch_all(pool).await.map_err(database(what))?;
    Ok(found.into_iter().map(|Json(row)| row).collect())
}

/// Like [`rows_of`], for at most one row.
pub(crate) async fn row_of<R>(
    pool: &PgPool,
    what: &'static str,
    mut query: QueryBuilder<'_, Postgres>,
) -> Result<Option<R>, ProjectionError>
where
    R: DeserializeOwned + Send + Unpin + 'static,
{
    let found: Option<Json<R>> = query.build_query_scalar().fetch_optional(pool).await.map_err(database(what))?;
    Ok(found.map(|Json(row)| row))
}

/// A `SELECT count(*) …`.
pub(crate) async fn count_of(
    pool: &PgPool,
    what: &'static str,
    mut query: QueryBuilder<'_, Postgres>,
) -> Result<i64, ProjectionError> {
    query.build_query_scalar().fetch_one(pool).await.map_err(database(what))
}

/// Conditions joined by AND; the first one brings the WHERE.
pub(crate) struct Conditions<'q, 'a> {
    query: &'q mut QueryBuilder<'a, Postgres>,
    any: bool,
}

impl<'q, 'a> Conditions<'q, 'a> {
    pub(crate) fn of(query: &'q mut QueryBuilder<'a, Postgres>) -> Self {
        Self { query, any: false }
    }

    /// The place after WHERE or AND, for one more condition.
    pub(crate) fn and(&mut self) -> &mut QueryBuilder<'a, Postgres> {
        self.query.push(if self.any { " AND " } else { " WHERE " });
        self.any = true;
        self.query
    }
}

/// A pattern that finds `text` anywhere, its own wildcards taken literally.
pub(crate) fn contains_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::contains_pattern;

    #[test]
    fn wildcards_in_a_search_are_letters() {
        assert_eq!(contains_pattern("50%_a\\"), "%50\\%\\_a\\\\%");
    }
}
