//! What a discount takes off a price: one function for what is shown beforehand, charged, and recounted later.

use minispod_events::Discount;
use minispod_kernel::Rupiah;

/// How much less `price` is; never more than the price, and whole rupiah rounded down.
pub fn discount(less: Discount, price: Rupiah) -> Rupiah {
    let price = price.max(Rupiah::ZERO);
    let off = match less {
        Discount::Fixed { amount } => amount,
        Discount::Percent { percent } => {
            let off = i128::from(price.amount()) * i128::from(percent.min(100)) / 100;
            Rupiah::new(i64::try_from(off).unwrap_or(i64::MAX))
        }
        Discount::FreePeriod => price,
    };
    off.clamp(Rupiah::ZERO, price)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn off(less: Discount, price: i64) -> i64 {
        discount(less, Rupiah::new(price)).amount()
    }

    #[test]
    fn a_percentage_is_rounded_down_and_a_sum_is_never_more_than_the_price() {
        assert_eq!(off(Discount::Percent { percent: 20 }, 99_999), 19_999);
        assert_eq!(off(Discount::Percent { percent: 100 }, 99_999), 99_999);
        assert_eq!(off(Discount::Percent { percent: 1 }, 99), 0);
        assert_eq!(off(Discount::Fixed { amount: Rupiah::new(30_000) }, 100_000), 30_000);
        assert_eq!(off(Discount::Fixed { amount: Rupiah::new(30_000) }, 25_000), 25_000);
        assert_eq!(off(Discount::FreePeriod, 25_000), 25_000);
        assert_eq!(off(Discount::FreePeriod, 0), 0);
    }

    proptest! {
        #[test]
        fn nothing_is_ever_sold_for_less_than_nothing_or_more_than_its_price(
            price in 0..=Rupiah::MAX_MAGNITUDE, percent: u8, amount: i64
        ) {
            for less in [Discount::Percent { percent }, Discount::Fixed { amount: Rupiah::new(amount) }, Discount::FreePeriod] {
                prop_assert!((0..=price).contains(&off(less, price)));
            }
        }
    }
}
