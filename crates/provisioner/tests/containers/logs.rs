//! A log that is followed on a real kubelet: what a container prints comes while it prints it, and whoever breaks off goes
//! on where he was.

use futures::{StreamExt, stream::BoxStream};
use minispod_provisioner::fleet::{Fleet, FleetError, FollowWish, LogFollowed, LogLine, LogWish, Place};
use tokio::time::timeout;

use crate::{bench::DEADLINE, ground::Bought};

type Lines = BoxStream<'static, Result<LogLine, FleetError>>;

fn place_of(bought: &Bought) -> Place {
    let target = bought.bench.target(&bought.spec);
    Place { namespace: target.namespace, instance_id: target.instance_id }
}

async fn follow(bought: &Bought, after: Option<i64>) -> Lines {
    let wish = FollowWish { lines: 100, after };
    let followed = bought.bench.cluster.follow_log(&place_of(bought), &wish).await.expect("followed");
    let LogFollowed { pod, lines } = followed.expect("a pod");
    assert_eq!(Some(pod), bought.pod().await.metadata.name);
    lines
}

/// The lines that come up to this one.
async fn read_to(lines: &mut Lines, last: &str) -> Vec<LogLine> {
    let mut read = Vec::new();
    let reading = async {
        while read.last().is_none_or(|line: &LogLine| line.text != last) {
            read.push(lines.next().await.expect("the container runs on").expect("a line"));
        }
    };
    let came = timeout(DEADLINE, reading).await.is_ok();
    assert!(came, "{last:?} did not come: {read:?}");
    read
}

fn words(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

async fn say(bought: &Bought, all: &[&str]) {
    for text in all {
        bought.does(&format!("say?text={text}")).await;
    }
}

/// The cluster itself can only go on at a whole second, within which all of this is said.
#[tokio::test]
async fn a_followed_log_goes_on_where_it_broke_off_with_every_line_once() {
    let Some(ghost) = Bought::by_somebody().await else { return };
    ghost.run().await;
    say(&ghost, &["earlier"]).await;
    let mut lines = follow(&ghost, None).await;
    let mut all = read_to(&mut lines, "earlier").await;
    assert!(words(&all)[0].starts_with("a stand-in listens at"), "also what was printed before: {all:?}");

    // Each is waited for before the next is said: they come while the container prints.
    for text in ["one", "two"] {
        say(&ghost, &[text]).await;
        let more = read_to(&mut lines, text).await;
        assert_eq!(words(&more), [text]);
        all.extend(more);
    }
    // Broken off in the midst of what was said, and more is said meanwhile.
    say(&ghost, &["three", "four", "five"]).await;
    all.extend(read_to(&mut lines, "three").await);
    drop(lines);
    say(&ghost, &["six", "seven"]).await;

    let last = all.last().expect("a line").nanos;
    let mut lines = follow(&ghost, Some(last)).await;
    let more = read_to(&mut lines, "seven").await;
    assert_eq!(words(&more), ["four", "five", "six", "seven"], "neither twice nor left out");
    all.extend(more);
    say(&ghost, &["eight"]).await;
    all.extend(read_to(&mut lines, "eight").await);

    assert!(all.windows(2).all(|pair| pair[0].nanos < pair[1].nanos), "each line has a place of its own: {all:?}");
    let wish = LogWish { lines: 100, since: None, timestamps: false };
    let seen = ghost.bench.cluster.log_of(&place_of(&ghost), &wish).await.expect("read").expect("a pod");
    assert_eq!(words(&all), seen.text.lines().collect::<Vec<_>>(), "together the whole log");
}
