//! What `--help` shows below the options of each subcommand: examples that run, and what the exit status means.

use clap::Command;

/// One subcommand's help.
struct Help {
    /// Its words, such as `log verify`.
    path: &'static str,
    /// What follows the examples' heading, a line each; `  # ` begins what it is for.
    examples: &'static str,
    /// When it ends with 1.
    failure: &'static str,
}

const fn help(path: &'static str, examples: &'static str, failure: &'static str) -> Help {
    Help { path, examples, failure }
}

const ROLE_FAILURE: &str =
    "the configuration is unsafe or incomplete, a part it needs is not there, or the role ended by itself";
const FAILURE: &str = "it could not be done; the reason is on standard error";

const ALL: &[Help] = &[
    help(
        "up",
        "minispod up  # in the foreground, Ctrl-C stops everything
minispod up --detach --port 8080  # returns when everything is ready
minispod up --state /var/lib/minispod --kubeconfig ~/.kube/config  # real containers
minispod up --demo  # walks the journey as soon as it can",
        "it did not become ready, a role failed, or the demo did",
    ),
    help("down", "minispod down  # the data is kept; `up` continues on it", "what runs did not end in time"),
    help(
        "status",
        "minispod status
minispod status --state /var/lib/minispod",
        "nothing runs there, it is still starting, or a part is unwell",
    ),
    help(
        "demo",
        "minispod demo  # register, top up, subscribe, mail, invoice, renew, cancel
minispod demo --fail-provisioning  # the cluster refuses: the money comes back
minispod demo --url https://staging.example.com",
        "a step of the journey failed",
    ),
    help("api", "minispod api --config minispod.toml  # serves http.listen", ROLE_FAILURE),
    help("relay", "minispod relay --config minispod.toml  # a second one may run beside it", ROLE_FAILURE),
    help("projector", "minispod projector --config minispod.toml", ROLE_FAILURE),
    help(
        "provisioner",
        "minispod provisioner --config minispod.toml  # needs cluster.kind = \"kubernetes\"",
        ROLE_FAILURE,
    ),
    help("billing", "minispod billing --config minispod.toml", ROLE_FAILURE),
    help("mailer", "minispod mailer --config minispod.toml", ROLE_FAILURE),
    help(
        "resting-page",
        "minispod resting-page --listen 0.0.0.0:8080  # behind a Service that cluster.resting_page names",
        "the address is taken",
    ),
    help(
        "run",
        "minispod run relay projector --config minispod.toml  # fewer processes for a small installation
minispod run api provisioner  # the live views of a simulated cluster need its api in the same process",
        ROLE_FAILURE,
    ),
    help(
        "migrate",
        "minispod migrate --config owner.toml  # as the owner of the tables, before a release's roles",
        FAILURE,
    ),
    help(
        "nats apply",
        "minispod nats apply
minispod nats apply --overlay production.json  # {\"MINISPOD_EVT\": {\"num_replicas\": 3}}
minispod nats apply --overlay single.json --allow-lower  # takes copies away",
        "the server could not be reached or refused, or a stream would lose copies (then nothing was changed)",
    ),
    help("nats env", "minispod nats env  # meant for: eval \"$(minispod nats env)\"", FAILURE),
    help(
        "log verify",
        "minispod log verify
minispod log verify --config minispod.toml  # needs the password of analyst",
        "Postgres and JetStream, a saved state or a claim differ; each difference is printed",
    ),
    help("log new-timeline", "minispod log new-timeline --yes  # after a restore, with the relay stopped", FAILURE),
    help(
        "ledger verify",
        "minispod ledger verify
minispod ledger verify --state /var/lib/minispod  # says how far it is on a long log",
        "an entry, a balance, a number or a claim is not as it must be; each difference is printed",
    ),
    help(
        "whatif",
        "minispod whatif --price-list prices.toml --from 2026-01-01 --to 2026-12-31
minispod whatif --price-list prices.toml --from 2026-11-01 --to 2026-11-30 --json",
        "the file cannot be read, names a plan that does not exist, or a price that could not be sold",
    ),
    help("projections list", "minispod projections list", FAILURE),
    help("projections diff", "minispod projections diff", "a read model differs from a fresh fold of the log"),
    help("projections rebuild", "minispod projections rebuild users", FAILURE),
    help(
        "dlq list",
        "minispod dlq list billing
minispod dlq list all",
        FAILURE,
    ),
    help("dlq show", "minispod dlq show mailer mail-01hx  # the lane as `list` prints it", FAILURE),
    help("dlq retry", "minispod dlq retry mailer mail-01hx", FAILURE),
    help("dlq skip", "minispod dlq skip mailer mail-01hx --reason \"address does not exist\"", FAILURE),
    help(
        "admin create",
        "minispod admin create --name Ani --email ani@example.com  # then type the password",
        "the address is taken, the password breaks a rule, or none came in",
    ),
    help(
        "admin credentials",
        "minispod admin credentials
minispod admin credentials --json",
        "`up` has not made an administrator there",
    ),
    help("seed", "minispod seed --config minispod.toml  # again at will", FAILURE),
    help("config", "minispod config  # meant for: minispod config > minispod.toml", "never"),
    help(
        "doctor",
        "minispod doctor
minispod doctor --role billing  # in a container that has only billing's secrets",
        "a check failed; its line begins with FAIL and says why",
    ),
];

/// The exit statuses of every subcommand.
const STATUSES: &str = "Exit status:
  0    done
  1    it failed, or what was checked is not as it should be; the reason is on standard error
  2    the command line is wrong
  141  whoever read the output went away";

/// The command with examples and statuses in the long help of each subcommand.
pub fn taught(command: Command) -> Command {
    let command = ALL.iter().fold(command, |command, help| {
        let words: Vec<&str> = help.path.split(' ').collect();
        inside(command, &words, help)
    });
    command.after_long_help(STATUSES)
}

fn inside(command: Command, words: &[&str], help: &Help) -> Command {
    match words {
        [] => command.after_long_help(shown(help)),
        [word, rest @ ..] => command.mut_subcommand(word, |sub| inside(sub, rest, help)),
    }
}

fn shown(help: &Help) -> String {
    let lines: String = help
        .examples
        .lines()
        .map(|line| match line.split_once("  # ") {
            Some((example, meaning)) => format!("  {example}\n      {meaning}\n"),
            None => format!("  {line}\n"),
        })
        .collect();
    format!(
        "Examples:\n{lines}\nExit status: 0 when done, 2 when the command line is wrong, 1 when:\n  {}",
        help.failure
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn leaves(command: &Command, path: &str, found: &mut Vec<String>) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name()).trim().to_owned();
            if sub.has_subcommands() { leaves(sub, &path, found) } else { found.push(path) }
        }
    }

    #[test]
    fn every_subcommand_has_examples_and_every_example_is_a_command() {
        let mut paths = Vec::new();
        leaves(&Cli::command(), "", &mut paths);
        let taught_paths: Vec<&str> = ALL.iter().map(|help| help.path).collect();
        assert_eq!(paths, taught_paths);
        for help in ALL {
            for line in help.examples.lines() {
                let example = line.split("  # ").next().unwrap_or_default();
                assert!(example.starts_with(&format!("minispod {}", help.path)), "{example} is not of {}", help.path);
                let words = example.replace("\"address does not exist\"", "gone");
                let parsed = Cli::command().try_get_matches_from(words.split(' '));
                assert!(parsed.is_ok(), "{example}: {:?}", parsed.err());
            }
        }
    }

    #[test]
    fn the_long_help_shows_examples_and_statuses() {
        let mut command = taught(Cli::command());
        let sub = command.find_subcommand_mut("doctor").expect("a subcommand");
        let text = sub.render_long_help().to_string();
        assert!(text.contains("minispod doctor --role billing") && text.contains("Exit status"), "{text}");
        assert!(command.render_long_help().to_string().contains("141"));
    }
}
