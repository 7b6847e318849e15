//! `minispod whatif`: a file of other prices, the log in a read-only snapshot, and the difference in print.

use std::{collections::BTreeMap, path::Path};

use minispod_domain::{
    tax::TaxSchedule,
    whatif::{Comparison, Days, OtherPrice, PlanName, PriceFault, PriceList, READ, Sum, WhatIf},
};
use minispod_events::{DecodeError, Fact};
use minispod_kernel::{InsSeq, Rupiah};
use minispod_store::{Snapshot, StoreError};
use serde::Deserialize;

use crate::{
    cli,
    config::{Invoice, Tax},
    roles::{Parts, RoleError},
    state::StateError,
};

/// Largest file of prices.
const FILE_MAX: u64 = 1024 * 1024;

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum WhatIfError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Role(#[from] RoleError),
    #[error("the log could not be read")]
    Store(#[from] StoreError),
    #[error("an event could not be read")]
    Event(#[from] DecodeError),
    #[error("{path} could not be read")]
    Read {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is larger than a list of prices")]
    TooLarge { path: String },
    #[error("{path} is no list of prices")]
    Shape {
        path: String,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("{path}: {what}")]
    Content { path: String, what: String },
    #[error("--to is before --from")]
    Backwards,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceFile {
    yearly_discount_percent: Option<u8>,
    #[serde(default)]
    plans: BTreeMap<String, PlanPrice>,
    tax: Option<Vec<Tax>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PlanPrice {
    Monthly(i64),
    Both(BothPrices),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BothPrices {
    monthly_price: Option<i64>,
    yearly_discount_percent: Option<u8>,
}

/// Reads, compares, prints. Its transaction can write nothing.
pub async fn run(arguments: cli::WhatIf) -> Result<(), WhatIfError> {
    let path = arguments.price_list.display().to_string();
    let days = Days { from: arguments.from, to: arguments.to };
    if days.to < days.from {
        return Err(WhatIfError::Backwards);
    }
    let content = |what: String| WhatIfError::Content { path: path.clone(), what };
    let fault = |fault: PriceFault| content(fault.to_string());
    let mut what_if = WhatIf::new(read(&arguments.price_list, &path)?, days).map_err(fault)?;
    let parts = Parts::connect(arguments.source.load_checked()?).await?;
    let mut snapshot = Snapshot::take(&parts.store).await?;
    let last = snapshot.last().await?;
    let mut at = InsSeq(0);
    while at < last {
        let (events, reached) = snapshot.events(&READ, at).await?;
        for recorded in events {
            let id = recorded.aggregate_id.clone();
            what_if.enter(&id, &Fact::read(recorded)?.event);
        }
        at = reached;
    }
    let comparison = what_if.finish().map_err(fault)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&comparison).unwrap_or_default());
    } else {
        print(&comparison);
    }
    Ok(())
}

fn read(file: &Path, path: &str) -> Result<PriceList, WhatIfError> {
    let failed = |source| WhatIfError::Read { path: path.to_owned(), source };
    if std::fs::metadata(file).map_err(failed)?.len() > FILE_MAX {
        return Err(WhatIfError::TooLarge { path: path.to_owned() });
    }
    let text = std::fs::read_to_string(file).map_err(failed)?;
    let parsed: PriceFile = toml::from_str(&text)
        .map_err(|source| WhatIfError::Shape { path: path.to_owned(), source: Box::new(source) })?;
    price_list(parsed).map_err(|what| WhatIfError::Content { path: path.to_owned(), what })
}

fn price_list(file: PriceFile) -> Result<PriceList, String> {
    let mut plans = BTreeMap::new();
    for (name, price) in file.plans {
        plans.insert(plan_name(&name)?, other_price(&price));
    }
    let tax = file.tax.map(|tax| Invoice { tax, ..Invoice::default() }.tax_schedule());
    let tax: Option<TaxSchedule> = tax.transpose()?;
    Ok(PriceList { plans, yearly_discount_percent: file.yearly_discount_percent, tax })
}

fn plan_name(name: &str) -> Result<PlanName, String> {
    let parts = name.split_once('/').filter(|(offering, variant)| !offering.is_empty() && !variant.is_empty());
    let (offering, variant) = parts.ok_or_else(|| format!("{name:?} is no plan as in \"n8n/basic\""))?;
    Ok((offering.to_owned(), variant.to_owned()))
}

fn other_price(price: &PlanPrice) -> OtherPrice {
    match price {
        PlanPrice::Monthly(price) => OtherPrice { monthly: Some(Rupiah::new(*price)), yearly_discount_percent: None },
        PlanPrice::Both(both) => OtherPrice {
            monthly: both.monthly_price.map(Rupiah::new),
            yearly_discount_percent: both.yearly_discount_percent,
        },
    }
}

fn print(comparison: &Comparison) {
    println!(
        "{:<27} {:>9} {:>15} {:>15} {:>15} {:>13} {:>13}",
        "", "decisions", "recorded", "would be", "difference", "tax in it", "would be"
    );
    for (what, sums) in [("plan", &comparison.plans), ("customer", &comparison.customers)] {
        println!("by {what}");
        for (name, sum) in sums {
            line(name, sum);
        }
    }
    line("total", &comparison.total);
}

fn line(name: &str, sum: &Sum) {
    println!(
        "{name:<27} {:>9} {:>15} {:>15} {:>+15} {:>13} {:>13}",
        sum.decisions, sum.recorded, sum.would_be, sum.difference, sum.recorded_tax, sum.tax_would_be
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<PriceList, String> {
        toml::from_str(text).map_err(|error| error.to_string()).and_then(price_list)
    }

    #[test]
    fn a_price_stands_alone_or_with_its_discount() {
        let list = parsed(
            "yearly_discount_percent = 10\n[plans]\n\"n8n/basic\" = 30000\n\
             \"n8n/pro\" = { monthly_price = 70000, yearly_discount_percent = 20 }\n\
             [[tax]]\nfrom = \"2025-01-01\"\nrate_basis_points = 1200\n",
        )
        .expect("a list of prices");
        let of = |variant: &str| list.plans[&("n8n".to_owned(), variant.to_owned())];
        assert_eq!(of("basic").monthly, Some(Rupiah::new(30_000)));
        assert_eq!((of("pro").monthly, of("pro").yearly_discount_percent), (Some(Rupiah::new(70_000)), Some(20)));
        assert_eq!(list.yearly_discount_percent, Some(10));
        assert!(list.tax.is_some());
    }

    #[test]
    fn what_is_no_list_of_prices_is_named() {
        for (bad, named) in [
            ("[plans]\nn8n = 1", "n8n"),
            ("[plans]\n\"n8n/\" = 1", "n8n/"),
            ("prices = 1", "prices"),
            ("[[tax]]\nfrom = \"soon\"\nrate_basis_points = 1", "soon"),
            ("[[tax]]\nfrom = \"2025-01-01\"\nrate_basis_points = 20000", "20000"),
        ] {
            let refusal = parsed(bad).expect_err(bad);
            assert!(refusal.contains(named), "{bad}: {refusal}");
        }
    }
}
