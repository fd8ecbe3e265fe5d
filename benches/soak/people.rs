//! The people. Owns what each submission is, by its number, and who goes away when.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::account::Account;
use crate::kind::Kind;
use crate::kind::kinds;
use crate::person::Person;
use crate::support::client::find;

/// Where the form is sent.
pub(crate) const PATH: &str = "/soak";
/// How long a person waits before nothing can come any more.
const PATIENCE: Duration = Duration::from_secs(20);

const ID: &str = "case-";
const DIGITS: usize = 9;

/// The id of a submission.
pub(crate) fn id(number: usize) -> String {
    format!("{ID}{number:0DIGITS$}")
}

/// The number of the submission that these bytes are about.
pub(crate) fn number_in(bytes: &[u8]) -> Option<usize> {
    let at = find(bytes, ID.as_bytes())? + ID.len();
    std::str::from_utf8(bytes.get(at..at + DIGITS)?)
        .ok()?
        .parse()
        .ok()
}

/// A number that has nothing to do with another, but is always the same (splitmix64).
pub(crate) fn mix(number: usize, turn: u64) -> u64 {
    let seed = u64::try_from(number).unwrap_or_default() * 8 + turn;
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What kind of submission this one is.
pub(crate) fn kind_of(number: usize) -> Kind {
    let kinds = kinds();
    let count = u64::try_from(kinds.len()).unwrap_or(1);
    kinds[usize::try_from(mix(number, 4) % count).unwrap_or_default()]
}

/// When its person goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    Never,
    /// Before all of it is sent.
    InTheMiddle,
    /// So many milliseconds after.
    After(u64),
}

fn leaves(number: usize) -> Leaves {
    match mix(number, 5) % 100 {
        0..2 => Leaves::InTheMiddle,
        2..6 => Leaves::After(mix(number, 6) % 30),
        _ => Leaves::Never,
    }
}

/// Lets people submit until then, each as fast as they are answered.
pub(crate) fn come(
    count: usize,
    address: SocketAddr,
    end: Instant,
    account: &Arc<Account>,
) -> JoinSet<()> {
    let mut people = JoinSet::new();
    for _ in 0..count {
        let account = Arc::clone(account);
        people.spawn(async move {
            let mut over = [Person::at(address), Person::at(address)];
            while Instant::now() < end {
                let number = account.begin();
                let kind = kind_of(number);
                let person = &mut over[usize::from(kind.http2)];
                match leaves(number) {
                    Leaves::InTheMiddle => {
                        begin(address, kind, number).await;
                        account.left(number);
                    }
                    Leaves::After(millis) => {
                        let enough = tokio::time::sleep(Duration::from_millis(millis));
                        person.submit(kind, PATH, &id(number), enough).await;
                        account.left(number);
                        person.leave();
                    }
                    Leaves::Never => {
                        let enough = tokio::time::sleep(PATIENCE);
                        let told = person.submit(kind, PATH, &id(number), enough).await;
                        account.told(number, &told);
                    }
                }
            }
        });
    }
    people
}

/// Sends the beginning of a submission and goes away.
async fn begin(address: SocketAddr, kind: Kind, number: usize) {
    let request = kind.request(PATH, &id(number));
    let length =
        request.len() - 1 - usize::try_from(mix(number, 7)).unwrap_or(0) % (request.len() - 1);
    if let Ok(mut stream) = TcpStream::connect(address).await {
        let _ = stream.write_all(&request[..length]).await;
    }
}
