//! Lists the folders of `catalog/` for the program, so that a new offering is two new files and no edit.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

const DEFINITION: &str = "offering.toml";
const MANIFESTS: &str = "manifests.yaml";

fn main() -> io::Result<()> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("catalog");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut out = fs::File::create(PathBuf::from(variable("OUT_DIR")?).join("catalog.rs"))?;
    writeln!(out, "static FOLDERS: &[Folder] = &[")?;
    for folder in entries(&root)?.iter().filter(|path| path.join(DEFINITION).is_file()) {
        println!("cargo::rerun-if-changed={}", folder.display());
        writeln!(
            out,
            "Folder {{ name: {:?}, definition: include_str!({:?}), manifests: include_str!({:?}) }},",
            name(folder),
            text(&folder.join(DEFINITION)),
            text(&folder.join(MANIFESTS)),
        )?;
    }
    writeln!(out, "];\nstatic PIECES: &[(&str, &str)] = &[")?;
    println!("cargo::rerun-if-changed={}", root.join("pieces").display());
    for piece in entries(&root.join("pieces"))? {
        writeln!(out, "({:?}, include_str!({:?})),", name(&piece), text(&piece))?;
    }
    writeln!(out, "];")
}

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts through the environment")]
fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
