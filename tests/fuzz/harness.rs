//! Replaying a corpus and changing it at random, on stable Rust and without instrumentation. Owns files, time and
//! change; what must hold is said by the targets.
//!
//! Every target says in a few words what came of an input. Words that were not heard before are taken for new ground:
//! the input joins those that are changed further. That is a poor man's coverage, but the parsers here say precisely
//! what they dislike.

use std::collections::HashSet;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::targets::TARGETS;

/// The longest input that is made, and how many are kept to make others from.
const LONGEST: usize = 4 << 10;
const KEPT: usize = 4000;

/// What has misled parsers before.
const TOKENS: [&[u8]; 28] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\r\n\r\n",
    b"%",
    b"%00",
    b"%0d%0a",
    b"%2f",
    b"%5c",
    b"\\",
    b"//",
    b"..",
    b";",
    b"\"",
    b"'",
    b"<",
    b"&",
    b"=",
    b"[]",
    b"{}",
    b"\xff",
    b"\xc3\xa9",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"0",
    b"--",
    b"99999999999999999999",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

/// The names of all corpora there are.
pub(crate) fn corpora() -> Vec<String> {
    let entries = fs::read_dir(folder()).expect("the corpora");
    let names = entries.map(|entry| entry.expect("a corpus").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder().join(target)).expect("a corpus");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort_unstable();
    paths
        .iter()
        .map(|path| fs::read(path).expect("a file"))
        .collect()
}

/// Replays the corpus of a target, then changes it for as long as `FORMGATE_FUZZ_SECONDS` says.
pub(crate) fn run(name: &str) {
    let (_, target) = TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a target");
    let mut pool = corpus(name);
    assert!(!pool.is_empty(), "{name} has no corpus");
    let mut heard: HashSet<String> = pool
        .iter()
        .map(|input| tried(name, *target, input))
        .collect();
    let seconds =
        std::env::var("FORMGATE_FUZZ_SECONDS").map_or(0, |text| text.parse().expect("seconds"));
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut random = Random::begin();
    let mut count = pool.len();
    while Instant::now() < until {
        let input = random.change(&pool);
        let said = tried(name, *target, &input);
        count += 1;
        if pool.len() < KEPT && heard.insert(said) {
            save(
                name,
                "found",
                &input,
                std::env::var_os("FORMGATE_FUZZ_FOUND").map(PathBuf::from),
            );
            pool.push(input);
        }
    }
    println!("{name}: {count} inputs, {} kinds of outcome", heard.len());
}

/// Gives an input to a target. If a law is broken, the input is kept, so that it can join the corpus.
fn tried(name: &str, target: fn(&[u8]) -> String, input: &[u8]) -> String {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
    let took = began.elapsed();
    let broken = match outcome {
        Ok(said) if took < Duration::from_secs(10) => return in_kind(&said),
        Ok(_) => format!("it took {took:?}"),
        Err(_) => "a law is broken, see above".to_owned(),
    };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    let path = save(name, "broken", input, Some(folder)).expect("a folder for it");
    panic!("{name}: {broken}; the input is {}", path.display());
}

fn save(name: &str, what: &str, input: &[u8], folder: Option<PathBuf>) -> Option<PathBuf> {
    let folder = folder?.join(name);
    fs::create_dir_all(&folder).ok()?;
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let path = folder.join(format!("{what}-{hash:016x}"));
    fs::write(&path, input).ok()?;
    Some(path)
}

/// How the words begin and end; what they quote stands between.
fn in_kind(said: &str) -> String {
    let words: Vec<&str> = said.split_whitespace().collect();
    let (first, rest) = words.split_at(words.len().min(2));
    [first, &rest[rest.len().saturating_sub(3)..]]
        .concat()
        .join(" ")
}

/// xorshift64*, begun with the time.
struct Random(u64);

impl Random {
    fn begin() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self(
            now.map_or(1, |now| {
                u64::from(now.subsec_nanos()) ^ (now.as_secs() << 20)
            }) | 1,
        )
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap_or_default() % bound.max(1)
    }

    fn one_of<'p, I>(&mut self, pool: &'p [I]) -> &'p I {
        &pool[self.below(pool.len())]
    }

    /// A piece of an input.
    fn piece<'i>(&mut self, input: &'i [u8]) -> &'i [u8] {
        let start = self.below(input.len() + 1);
        let length = self.below((input.len() - start).min(64) + 1);
        &input[start..start + length]
    }

    /// One of the inputs, changed in a few places.
    fn change(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.one_of(pool).clone();
        for _ in 0..=self.below(6) {
            let at = self.below(input.len() + 1);
            let end = at + self.below((input.len() - at).min(16) + 1);
            let new: Vec<u8> = match self.below(7) {
                0 => Vec::new(),
                1 => self.one_of(&TOKENS).to_vec(),
                2 => {
                    let other = self.one_of(pool);
                    self.piece(other).to_vec()
                }
                3 => self.piece(&input).to_vec(),
                4 => input[at..end].repeat(self.below(4)),
                5 => vec![u8::try_from(self.below(256)).unwrap_or_default()],
                _ => input[at..end]
                    .iter()
                    .map(|byte| byte ^ (1 << self.below(8)))
                    .collect(),
            };
            // Put in, or in the place of what was there.
            let end = if self.below(2) == 0 { at } else { end };
            drop(input.splice(at..end, new));
        }
        input.truncate(LONGEST);
        input
    }
}
