//! The trace that a request belongs to, as the W3C Trace Context says it: `traceparent` and `tracestate`. Owns reading
//! and writing the two; whom to believe, and the spans themselves, are left to `account`.

/// The most members and bytes of a `tracestate` that are handed on (the recommendation's own numbers).
const MEMBERS: usize = 32;
const LENGTH: usize = 512;

/// A trace, and the span in it under which whatever comes next belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Its id; never 0.
    pub id: u128,
    /// The span; `None` if nobody writes down the one that is meant.
    pub span: Option<u64>,
    /// The flags; the lowest bit says that the trace is being written down.
    pub flags: u8,
    /// What other systems on the way want to be handed on.
    pub state: Option<String>,
}

impl Trace {
    /// Reads a `traceparent`. Of versions to come the part that this one has is read, as the recommendation says.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim_matches([' ', '\t']);
        let (known, more) = value.split_at_checked(55)?;
        let mut parts = known.split('-');
        let version = hex(parts.next()?, 2)?;
        let id = hex(parts.next()?, 32)?;
        let span = u64::try_from(hex(parts.next()?, 16)?).ok()?;
        let flags = u8::try_from(hex(parts.next()?, 2)?).ok()?;
        let good_end = more.is_empty() || (version > 0 && more.starts_with('-'));
        let good = version != 0xff && id != 0 && span != 0 && good_end && parts.next().is_none();
        good.then_some(Self {
            id,
            span: Some(span),
            flags,
            state: None,
        })
    }

    /// A trace that begins here, and that nobody writes down.
    #[must_use]
    pub const fn begin(id: u128) -> Self {
        Self {
            id,
            span: None,
            flags: 0,
            state: None,
        }
    }

    /// Takes over the values of `tracestate`, in their order; what is not well-formed is left out as a whole.
    #[must_use]
    pub fn with_state<'v>(mut self, values: impl Iterator<Item = &'v str>) -> Self {
        let members: Vec<&str> = values
            .flat_map(|value| value.split(','))
            .map(|member| member.trim_matches([' ', '\t']))
            .filter(|member| !member.is_empty())
            .collect();
        let state = members.join(",");
        let good = !state.is_empty()
            && members.len() <= MEMBERS
            && state.len() <= LENGTH
            && members.iter().all(|member| is_member(member));
        self.state = good.then_some(state);
        self
    }

    /// The same for those whose spans nobody writes down: each has its own.
    #[must_use]
    pub fn without_span(mut self) -> Self {
        self.span = None;
        self
    }

    /// The `traceparent` of whatever comes next; `own` stands for a span that nobody writes down.
    #[must_use]
    pub fn parent(&self, own: u64) -> String {
        let span = self.span.unwrap_or(own);
        format!("00-{:032x}-{span:016x}-{:02x}", self.id, self.flags)
    }
}

/// So many hexadecimal digits, in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let good = text.len() == digits && text.bytes().all(lower);
    good.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// `vendor=value`, of the characters that the recommendation allows.
fn is_member(member: &str) -> bool {
    let key_byte =
        |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let value_byte = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    member.split_once('=').is_some_and(|(key, value)| {
        let begins = key.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        begins && key.bytes().all(key_byte) && !value.is_empty() && value.bytes().all(value_byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_parent_is_read_and_written() {
        let trace = Trace::parse(PARENT).expect("good");
        assert_eq!((trace.span, trace.flags), (Some(0xb7ad_6b71_6920_3331), 1));
        assert_eq!(trace.parent(5), PARENT);
        let apart = trace.without_span();
        assert_eq!(
            apart.parent(0xabc),
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000abc-01"
        );
        assert_eq!(
            Trace::begin(1).parent(2),
            "00-00000000000000000000000000000001-0000000000000002-00"
        );
    }

    #[test]
    fn versions_to_come_are_read_as_far_as_they_are_known() {
        let later = |text: &str| Trace::parse(text).map(|trace| trace.parent(0));
        let known = Some(PARENT.to_owned());
        assert_eq!(later(&PARENT.replacen("00", "01", 1)), known);
        assert_eq!(
            later(&format!("{}-x", PARENT.replacen("00", "cc", 1))),
            known
        );
        assert_eq!(later(&format!("{}x", PARENT.replacen("00", "cc", 1))), None);
    }

    #[test]
    fn what_is_no_parent_is_none() {
        for bad in [
            "",
            "00-0-0-0",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0é",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(Trace::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn states_are_handed_on_whole_or_not_at_all() {
        let state = |values: &[&str]| {
            let trace = Trace::begin(1).with_state(values.iter().copied());
            trace.state.unwrap_or_default()
        };
        assert_eq!(state(&["a=1, b@x=2", "c=3 4"]), "a=1,b@x=2,c=3 4");
        for bad in ["a", "A=1", "a=", "a=1=2", "a=\u{e9}", "=1"] {
            assert_eq!(state(&[bad]), "", "{bad}");
        }
        assert_eq!(state(&["a=1,"; 33]), "");
        assert_eq!(state(&[&format!("a={}", "x".repeat(600))]), "");
    }
}
