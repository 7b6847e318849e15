//! Samples of use as clients know them.

use minispod_store::UsagePoint;
use serde_json::{Value, json};

const MEGABYTE: i64 = 1 << 20;

/// One point. Cores and megabytes as decimal texts; what nobody measures is null.
pub fn metric(subscription_id: &str, instance_id: &str, point: &UsagePoint) -> Value {
    json!({
        "id": format!("{instance_id}-{}", point.at.unix_millis()),
        "subscriptionId": subscription_id,
        "cpuUsage": cores(point.cpu_millis),
        "memUsage": megabytes(point.memory_bytes),
        "cpuUsageMax": cores(point.cpu_millis_max),
        "memUsageMax": megabytes(point.memory_bytes_max),
        "storageUsage": null,
        "networkIn": null,
        "networkOut": null,
        "samples": point.samples,
        "recordedAt": point.at.to_contract(),
    })
}

/// Several, in their order.
pub fn metrics(subscription_id: &str, instance_id: &str, points: &[UsagePoint]) -> Value {
    points.iter().map(|point| metric(subscription_id, instance_id, point)).collect()
}

/// Sums over the samples of all points. The network is not measured.
pub fn summary(points: &[UsagePoint]) -> Value {
    let samples: i64 = points.iter().map(|point| point.samples).sum();
    let mean = |of: fn(&UsagePoint) -> i64| {
        let sum: i128 = points.iter().map(|point| i128::from(of(point)) * i128::from(point.samples)).sum();
        if samples > 0 { i64::try_from(sum / i128::from(samples)).unwrap_or(i64::MAX) } else { 0 }
    };
    json!({
        "totalRecords": points.len(),
        "totalSamples": samples,
        "avgCpuUsage": cores(mean(|point| point.cpu_millis)).parse::<f64>().unwrap_or(0.0),
        "avgMemUsage": megabytes(mean(|point| point.memory_bytes)).parse::<f64>().unwrap_or(0.0),
        "totalNetworkIn": null,
        "totalNetworkOut": null,
    })
}

fn cores(millis: i64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// Megabytes of 1024 × 1024 bytes, with two places.
pub(super) fn megabytes(bytes: i64) -> String {
    let hundredths = bytes.saturating_mul(100) / MEGABYTE;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use minispod_kernel::Timestamp;

    use super::*;

    fn point(samples: i64, cpu_millis: i64, memory_bytes: i64) -> UsagePoint {
        let at = Timestamp::from_unix_millis(0);
        UsagePoint { at, samples, cpu_millis, cpu_millis_max: cpu_millis, memory_bytes, memory_bytes_max: memory_bytes }
    }

    #[test]
    fn means_weigh_each_point_by_its_samples() {
        let sum = summary(&[point(3, 100, 4 * MEGABYTE), point(1, 500, 8 * MEGABYTE)]);
        assert_eq!((sum["avgCpuUsage"].as_f64(), sum["avgMemUsage"].as_f64()), (Some(0.2), Some(5.0)));
        assert_eq!((&sum["totalRecords"], &sum["totalSamples"]), (&json!(2), &json!(4)));
        assert_eq!(summary(&[])["avgCpuUsage"], 0.0);
        assert_eq!(metric("s", "i", &point(1, 1_250, MEGABYTE / 2))["cpuUsage"], "1.250");
        assert_eq!(metric("s", "i", &point(1, 0, MEGABYTE / 2))["memUsage"], "0.50");
    }
}
