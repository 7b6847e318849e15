//! The tax inside a price: dated rates and bases as data, off unless configured. Prices include the tax.

use minispod_events::TaxSnapshot;
use minispod_kernel::Rupiah;
use serde::{Deserialize, Serialize};
use time::Date;

const WHOLE_IN_BASIS_POINTS: i64 = 10_000;

/// A rate from a day on (Jakarta). PPN since 2025: 12 % on 11/12 of the price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxRule {
    /// The first day it holds.
    pub from: Date,
    /// Hundredths of a percent: 1200 is 12 %.
    pub rate_basis_points: u32,
    /// The base (DPP) as a fraction of the price without tax.
    pub base_numerator: u32,
    pub base_denominator: u32,
}

/// A rate as people read it: `12%`, `11.5%`.
pub fn rate(basis_points: u32) -> String {
    let (whole, rest) = (basis_points / 100, basis_points % 100);
    if rest == 0 { format!("{whole}%") } else { format!("{whole}.{rest:02}%").replace("0%", "%") }
}

/// Rules by day; empty: no tax.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxSchedule {
    rules: Vec<TaxRule>,
}

/// A rule that cannot be computed with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaxError {
    #[error("a tax rate of {basis_points} basis points is more than the price")]
    RateTooHigh { basis_points: u32 },
    #[error("the tax base {numerator}/{denominator} is no fraction of the price")]
    BadBase { numerator: u32, denominator: u32 },
    #[error("two tax rules begin on {from}")]
    SameDay { from: Date },
}

impl TaxSchedule {
    /// Sorts and checks the rules.
    pub fn new(mut rules: Vec<TaxRule>) -> Result<Self, TaxError> {
        rules.sort_by_key(|rule| rule.from);
        for rule in &rules {
            if i64::from(rule.rate_basis_points) > WHOLE_IN_BASIS_POINTS {
                return Err(TaxError::RateTooHigh { basis_points: rule.rate_basis_points });
            }
            if rule.base_denominator == 0 || rule.base_numerator > rule.base_denominator {
                return Err(TaxError::BadBase { numerator: rule.base_numerator, denominator: rule.base_denominator });
            }
        }
        if let Some(pair) = rules.windows(2).find(|pair| pair[0].from == pair[1].from) {
            return Err(TaxError::SameDay { from: pair[0].from });
        }
        Ok(Self { rules })
    }

    /// The rule of a day.
    pub fn on(&self, day: Date) -> Option<&TaxRule> {
        self.rules.iter().rev().find(|rule| rule.from <= day)
    }

    /// Takes the tax out of a total of that day; `None` when no rule holds. Whole rupiah, half up.
    pub fn split(&self, day: Date, total: Rupiah) -> Option<TaxSnapshot> {
        let rule = self.on(day)?;
        let (numerator, denominator) = (i64::from(rule.base_numerator), i64::from(rule.base_denominator));
        let whole = WHOLE_IN_BASIS_POINTS * denominator;
        let price = total.prorated(whole, whole + i64::from(rule.rate_basis_points) * numerator)?;
        Some(TaxSnapshot {
            rate_basis_points: rule.rate_basis_points,
            base_numerator: rule.base_numerator,
            base_denominator: rule.base_denominator,
            price,
            base: price.prorated(numerator, denominator)?,
            tax: total.checked_sub(price)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    fn rule(from: Date, rate_basis_points: u32, base: (u32, u32)) -> TaxRule {
        TaxRule { from, rate_basis_points, base_numerator: base.0, base_denominator: base.1 }
    }

    fn ppn() -> TaxSchedule {
        TaxSchedule::new(vec![rule(date!(2025 - 01 - 01), 1_200, (11, 12)), rule(date!(2022 - 04 - 01), 1_100, (1, 1))])
            .expect("sound rules")
    }

    #[test]
    fn twelve_percent_of_eleven_twelfths_is_eleven_percent_of_the_price() {
        let split = ppn().split(date!(2026 - 11 - 22), Rupiah::new(111_000)).expect("a rule holds");
        let amounts = [split.price, split.base, split.tax].map(Rupiah::amount);
        assert_eq!(amounts, [100_000, 91_667, 11_000]);
    }

    #[test]
    fn the_parts_add_up_to_every_total() {
        for total in (1..5_000).chain([9_999_999, 10_000_000]) {
            let split = ppn().split(date!(2026 - 11 - 22), Rupiah::new(total)).expect("a rule holds");
            assert_eq!(split.price.checked_add(split.tax), Some(Rupiah::new(total)));
        }
    }

    #[test]
    fn the_day_decides_the_rule_and_no_rule_means_no_tax() {
        assert_eq!(ppn().on(date!(2024 - 12 - 31)).map(|rule| rule.rate_basis_points), Some(1_100));
        assert_eq!(ppn().on(date!(2025 - 01 - 01)).map(|rule| rule.rate_basis_points), Some(1_200));
        assert_eq!(ppn().on(date!(2022 - 03 - 31)), None);
        assert_eq!(TaxSchedule::default().split(date!(2026 - 11 - 22), Rupiah::new(1)), None);
        assert_eq!([1_150, 1_200, 5].map(rate), ["11.5%", "12%", "0.05%"]);
    }

    #[test]
    fn rules_that_cannot_be_computed_are_refused() {
        let day = date!(2025 - 01 - 01);
        assert!(TaxSchedule::new(vec![rule(day, 10_001, (1, 1))]).is_err());
        assert!(TaxSchedule::new(vec![rule(day, 1_100, (1, 0))]).is_err());
        assert!(TaxSchedule::new(vec![rule(day, 1_100, (13, 12))]).is_err());
        assert!(TaxSchedule::new(vec![rule(day, 1_100, (1, 1)), rule(day, 1_200, (1, 1))]).is_err());
    }
}
