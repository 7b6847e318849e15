//! Kubernetes quantities (`250m`, `1.5Gi`) as whole thousandths, so that they can be compared.

/// Why a text is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a quantity")]
pub struct QuantityError(pub String);

/// Thousandths of the unit: `1` is 1000, `250m` is 250, `1Ki` is 1 024 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(pub i128);

const LONGEST: usize = 32;

impl Quantity {
    /// Reads a positive quantity; parts of a thousandth are rounded up, as the API server does.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let wrong = || QuantityError(text.to_owned());
        if text.is_empty() || text.len() > LONGEST || !text.is_ascii() {
            return Err(wrong());
        }
        let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let milli_per_unit = thousandths(suffix).ok_or_else(wrong)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(wrong());
        }
        let digits = format!("{whole}{fraction}").parse::<i128>().map_err(|_| wrong())?;
        let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).map_err(|_| wrong())?).ok_or_else(wrong)?;
        let thousandths = digits.checked_mul(milli_per_unit).ok_or_else(wrong)?;
        let rounded_up = thousandths.checked_add(scale - 1).ok_or_else(wrong)?;
        Ok(Self(rounded_up / scale))
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

fn thousandths(suffix: &str) -> Option<i128> {
    Some(match suffix {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        "Ti" => 1_000 << 40,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_amount_compares_equal_however_it_is_written() {
        let same = [("0.25", "250m"), ("1.5Gi", "1536Mi"), ("1", "1000m"), ("0.5Mi", "512Ki"), (".5", "500m")];
        for (left, right) in same {
            assert_eq!(Quantity::parse(left), Quantity::parse(right), "{left} = {right}");
        }
        assert!(Quantity::parse("1Gi").expect("valid") > Quantity::parse("1G").expect("valid"));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", ".", "-1", "1.2.3", "1 Gi", "Gi", "1gi", "1e3", "9".repeat(33).as_str(), "٣"] {
            assert!(Quantity::parse(bad).is_err(), "{bad:?}");
        }
    }
}
