//! Writes `events/schemas/<aggregate>.json`; with `--check` only says whether they are current (exit 1 when not).

use std::{collections::BTreeMap, env, fs, io, path::Path, process::ExitCode};

use minispod_events::{Event, fact};

fn main() -> io::Result<ExitCode> {
    let check = env::args().any(|argument| argument == "--check");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let wanted = schemas()?;
    let stale = stale(&folder, &wanted)?;
    if stale.is_empty() {
        println!("{} schemas are current", wanted.len());
        return Ok(ExitCode::SUCCESS);
    }
    if check {
        eprintln!("stale: {}. Run: cargo run -p minispod-events --example schemas", stale.join(", "));
        return Ok(ExitCode::FAILURE);
    }
    fs::create_dir_all(&folder)?;
    for name in &stale {
        match wanted.get(name) {
            Some(text) => fs::write(folder.join(name), text)?,
            None => fs::remove_file(folder.join(name))?,
        }
        println!("{name}");
    }
    Ok(ExitCode::SUCCESS)
}

/// File name → text, with the aggregate's subject prefix so that a reader finds it on the stream.
fn schemas() -> io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for (aggregate, schema) in fact::schemas() {
        let context = fact::context_of(aggregate).unwrap_or_default();
        let mut value = serde_json::to_value(&schema)?;
        if let Some(object) = value.as_object_mut() {
            object.insert("$id".to_owned(), format!("minispod.evt.{context}.{aggregate}").into());
        }
        let mut text = serde_json::to_string_pretty(&value)?;
        text.push('\n');
        files.insert(format!("{aggregate}.json"), text);
    }
    debug_assert_eq!(files.len(), Event::CATALOGUE.len());
    Ok(files)
}

/// Files that are missing, different, or of no aggregate.
fn stale(folder: &Path, wanted: &BTreeMap<String, String>) -> io::Result<Vec<String>> {
    let mut present = BTreeMap::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            present.insert(entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path())?);
        }
    }
    let missing = wanted.iter().filter(|(name, text)| present.get(*name) != Some(*text)).map(|(name, _)| name.clone());
    let extra = present.keys().filter(|name| !wanted.contains_key(*name)).cloned();
    Ok(missing.chain(extra).collect())
}
