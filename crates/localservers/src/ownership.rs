//! Running Postgres as somebody else when we are root: which user, and a data directory that user can reach.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{ErrorKind, Write},
    os::unix::{
        fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use crate::failure::ServerError;

/// In a data directory outside its state directory: the state directory that it belongs to.
const OWNER_FILE: &str = "minispod-owner";

/// The user that servers run as when we are root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerUser {
    uid: u32,
    gid: u32,
}

impl ServerUser {
    /// None unless we are root.
    pub(crate) fn needed() -> Result<Option<Self>, ServerError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").map_err(ServerError::files("read", "/etc/passwd"))?;
        Self::in_passwd(&passwd).map(Some).ok_or(ServerError::NoServerUser)
    }

    fn in_passwd(passwd: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields[..] {
                ["postgres", _, uid, gid, ..] => Some(Self { uid: uid.parse().ok()?, gid: gid.parse().ok()? }),
                _ => None,
            }
        })
    }
}

/// `program`, run as the server user when there is one.
pub(crate) fn command_as(user: Option<ServerUser>, program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some(ServerUser { uid, gid }) = user {
        command.uid(uid).gid(gid);
    }
    // A server must not hold its starter's directory, which the server user may not even be able to enter.
    command.current_dir("/");
    command
}

/// Makes `data` in the state directory `state` (mode 700, owned by `user`) and says where it really is.
///
/// Below a directory that `user` cannot pass, such as `/root`, the data goes to `/var/lib/minispod-<hash>` and `data`
/// becomes a link to it. `state` must be absolute, or two checkouts would share one cluster.
pub(crate) fn private_directory(state: &Path, user: Option<ServerUser>) -> Result<PathBuf, ServerError> {
    let wished = &state.join("data");
    let Some(ServerUser { uid, gid }) = user else {
        make_private(wished)?;
        return fs::canonicalize(wished).map_err(ServerError::files("find", wished));
    };
    if !fs::exists(wished).unwrap_or(false) && !is_passable(state) {
        let mut hasher = DefaultHasher::new();
        wished.hash(&mut hasher);
        let elsewhere = PathBuf::from(format!("/var/lib/minispod-{:016x}", hasher.finish()));
        refuse_foreign(&elsewhere, state)?;
        make_private(&elsewhere)?;
        // A dangling link may be left from data that somebody removed.
        let _ = fs::remove_file(wished);
        symlink(&elsewhere, wished).map_err(ServerError::files("link", wished))?;
    }
    refuse_foreign(wished, state)?;
    make_private(wished)?;
    let real = fs::canonicalize(wished).map_err(ServerError::files("find", wished))?;
    chown(&real, Some(uid), Some(gid)).map_err(ServerError::files("give to postgres", &real))?;
    Ok(real)
}

/// Writes into data that lies outside `state` whose it is. Only once the cluster is made, for that wants an empty
/// directory.
pub(crate) fn mark_owner(data: &Path, state: &Path, user: Option<ServerUser>) -> Result<(), ServerError> {
    if data.starts_with(state) || fs::exists(data.join(OWNER_FILE)).unwrap_or(false) {
        return Ok(());
    }
    write_private(&data.join(OWNER_FILE), &format!("{}\n", state.display()), user)
}

/// A copied state directory brings the link with it: two servers on one cluster would destroy it.
fn refuse_foreign(data: &Path, state: &Path) -> Result<(), ServerError> {
    let marker = data.join(OWNER_FILE);
    let owner = match fs::read_to_string(&marker) {
        Ok(text) => PathBuf::from(text.trim_end()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ServerError::files("read", marker)(error)),
    };
    if owner == state {
        return Ok(());
    }
    let data = fs::canonicalize(data).unwrap_or_else(|_| data.to_path_buf());
    Err(ServerError::Foreign { data, owner, state: state.to_path_buf() })
}

/// Writes a new file that only `user` (else we) can read.
pub(crate) fn write_private(path: &Path, text: &str, user: Option<ServerUser>) -> Result<(), ServerError> {
    let _ = fs::remove_file(path);
    let mut file = fs::File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(ServerError::files("create", path))?;
    file.write_all(text.as_bytes()).map_err(ServerError::files("write", path))?;
    match user {
        Some(ServerUser { uid, gid }) => {
            chown(path, Some(uid), Some(gid)).map_err(ServerError::files("give to postgres", path))
        }
        None => Ok(()),
    }
}

fn make_private(path: &Path) -> Result<(), ServerError> {
    fs::create_dir_all(path).map_err(ServerError::files("create", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(ServerError::files("protect", path))
}

fn is_passable(directory: &Path) -> bool {
    let Ok(real) = fs::canonicalize(directory) else { return false };
    real.ancestors().all(|each| fs::metadata(each).is_ok_and(|found| found.mode() & 0o001 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_user_is_found_among_others() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgres:x:101:104:admin:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(ServerUser::in_passwd(passwd), Some(ServerUser { uid: 101, gid: 104 }));
        assert_eq!(ServerUser::in_passwd("root:x:0:0::/root:/bin/sh\n"), None);
    }
}
