//! Months of recurring revenue, one after another: each begins where the one before ended; pure.

use minispod_kernel::Rupiah;

use super::{movement::MovementKind, questions::MonthRow};

/// One month. `opening + new + reactivated + expansion − contraction − churned = closing`, in money and in heads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Month {
    /// `YYYY-MM`.
    pub month: String,
    pub opening: Rupiah,
    pub new: Rupiah,
    pub reactivated: Rupiah,
    pub expansion: Rupiah,
    /// What was lost, positive.
    pub contraction: Rupiah,
    /// What was lost, positive.
    pub churned: Rupiah,
    pub closing: Rupiah,
    /// Active subscriptions when it began.
    pub opening_count: i64,
    pub new_count: i64,
    pub reactivated_count: i64,
    pub churned_count: i64,
    /// Active subscriptions when it ended.
    pub closing_count: i64,
}

impl Month {
    /// Subscriptions lost, in hundredths of a percent of those there were; `None` when there were none.
    pub fn churn_basis_points(&self) -> Option<i64> {
        share(self.churned_count, self.opening_count)
    }

    /// Revenue lost to churn, in hundredths of a percent of what there was; `None` when there was none.
    pub fn revenue_churn_basis_points(&self) -> Option<i64> {
        share(self.churned.amount(), self.opening.amount())
    }

    fn add(&mut self, row: &MonthRow) {
        let (amount, lost) = (row.amount, Rupiah::new(row.amount.amount().saturating_neg()));
        match row.kind {
            MovementKind::New => (self.new, self.new_count) = (amount, row.count),
            MovementKind::Reactivated => (self.reactivated, self.reactivated_count) = (amount, row.count),
            MovementKind::Expansion => self.expansion = amount,
            MovementKind::Contraction => self.contraction = lost,
            MovementKind::Churned => (self.churned, self.churned_count) = (lost, row.count),
        }
        self.closing = Rupiah::new(self.closing.amount().saturating_add(amount.amount()));
        self.closing_count += heads(row);
    }
}

fn share(part: i64, whole: i64) -> Option<i64> {
    (whole > 0).then(|| Rupiah::new(part).prorated(10_000, whole)).flatten().map(Rupiah::amount)
}

/// What a movement does to the number of active subscriptions.
const fn heads(row: &MonthRow) -> i64 {
    match row.kind {
        MovementKind::New | MovementKind::Reactivated => row.count,
        MovementKind::Churned => -row.count,
        MovementKind::Expansion | MovementKind::Contraction => 0,
    }
}

/// The months of `wanted` (`YYYY-MM`, oldest first, without a hole), out of every movement until their end.
pub fn series(rows: &[MonthRow], wanted: &[String]) -> Vec<Month> {
    let Some(first) = wanted.first() else { return Vec::new() };
    let before = rows.iter().filter(|row| row.month < *first);
    let (mut money, mut count) =
        before.fold((0_i64, 0), |(money, count), row| (money + row.amount.amount(), count + heads(row)));
    let mut months = Vec::with_capacity(wanted.len());
    for name in wanted {
        let mut month = Month {
            month: name.clone(),
            opening: Rupiah::new(money),
            closing: Rupiah::new(money),
            opening_count: count,
            closing_count: count,
            ..Month::default()
        };
        rows.iter().filter(|row| row.month == *name).for_each(|row| month.add(row));
        (money, count) = (month.closing.amount(), month.closing_count);
        months.push(month);
    }
    months
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(month: &str, kind: MovementKind, count: i64, amount: i64) -> MonthRow {
        MonthRow { month: month.to_owned(), kind, count, amount: Rupiah::new(amount) }
    }

    fn rows() -> Vec<MonthRow> {
        vec![
            row("2026-08", MovementKind::New, 3, 75_000),
            row("2026-09", MovementKind::Churned, 1, -25_000),
            row("2026-11", MovementKind::New, 1, 30_000),
            row("2026-11", MovementKind::Expansion, 1, 10_000),
            row("2026-11", MovementKind::Contraction, 1, -5_000),
            row("2026-11", MovementKind::Reactivated, 1, 25_000),
            row("2026-11", MovementKind::Churned, 1, -30_000),
        ]
    }

    #[test]
    fn every_month_begins_where_the_one_before_ended_and_adds_up() {
        let months = series(&rows(), &["2026-10", "2026-11", "2026-12"].map(str::to_owned));
        assert_eq!(months.iter().map(|month| month.opening.amount()).collect::<Vec<_>>(), [50_000, 50_000, 80_000]);
        assert_eq!(months.iter().map(|month| month.closing_count).collect::<Vec<_>>(), [2, 3, 3]);
        for month in &months {
            let moved = [month.new, month.reactivated, month.expansion].map(Rupiah::amount).iter().sum::<i64>()
                - month.contraction.amount()
                - month.churned.amount();
            assert_eq!(month.opening.amount() + moved, month.closing.amount(), "{}", month.month);
        }
    }

    #[test]
    fn churn_is_a_share_of_what_there_was() {
        let months = series(&rows(), &["2026-08", "2026-09"].map(str::to_owned));
        assert_eq!((months[0].churn_basis_points(), months[0].revenue_churn_basis_points()), (None, None));
        assert_eq!(
            (months[1].churn_basis_points(), months[1].revenue_churn_basis_points()),
            (Some(3_333), Some(3_333))
        );
        assert_eq!(series(&rows(), &[]), []);
    }
}
