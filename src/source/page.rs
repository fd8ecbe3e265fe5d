//! One file that a person wrote, while it is being read. Owns its text and the complaints about it, so that all
//! of them come out in one run; parsing values out of it is left to `table`.

use std::cell::Cell;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use crate::source::complaint::Complaint;
use crate::source::complaint::Severity;
use crate::source::complaint::Text;

/// A file and what is wrong with it so far.
#[derive(Debug)]
pub struct Page {
    text: Arc<Text>,
    complaints: RefCell<Vec<Complaint>>,
    /// Values that are in no picture.
    secrets: RefCell<Vec<Range<usize>>>,
    /// Whether it is no TOML: then everything else that seems wrong may only follow from that.
    garbled: Cell<bool>,
}

impl Page {
    /// A file of this name (as the person knows it) and content.
    #[must_use]
    pub fn new(name: impl Into<String>, content: impl Into<String>) -> Self {
        let text = Text {
            name: name.into(),
            content: content.into(),
        };
        Self {
            text: Arc::new(text),
            complaints: RefCell::default(),
            secrets: RefCell::default(),
            garbled: Cell::new(false),
        }
    }

    /// The file's text, for whoever keeps places in it.
    #[must_use]
    pub const fn text(&self) -> &Arc<Text> {
        &self.text
    }

    /// Parses the file as TOML. What is not TOML is complained of, and then of nothing else.
    #[must_use]
    pub fn parse(&self) -> Spanned<DeTable<'_>> {
        let (table, errors) = DeTable::parse_recoverable(&self.text.content);
        let is_garbled = !errors.is_empty();
        for error in errors {
            let end = self.text.content.len();
            let span = error.span().unwrap_or(end..end);
            let label = if error.message().contains("duplicate key") {
                "it stands further up already"
            } else {
                "mend this first; what follows from it is not looked at"
            };
            self.complain(span, format!("not TOML: {}", error.message()), label);
        }
        self.garbled.set(is_garbled);
        table
    }

    /// Complains of an error at `span`; `label` stands beside the caret and says how to mend it.
    pub fn complain(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) {
        self.add(Severity::Error, span, message.into(), label.into());
    }

    /// An error at `span` that is not complained of yet: something further on may mend it.
    #[must_use]
    pub fn complaint(&self, span: Range<usize>, message: &str, label: &str) -> Complaint {
        Complaint {
            severity: Severity::Error,
            message: message.to_owned(),
            label: label.to_owned(),
            place: Some((Arc::clone(&self.text), span)),
        }
    }

    /// Warns of something that works but is probably not meant.
    pub fn warn(&self, span: Range<usize>, message: impl Into<String>, label: impl Into<String>) {
        self.add(Severity::Warning, span, message.into(), label.into());
    }

    /// Keeps a value out of the pictures of all complaints: these go to logs.
    pub fn conceal(&self, span: Range<usize>) {
        self.secrets.borrow_mut().push(span);
    }

    fn add(&self, severity: Severity, span: Range<usize>, message: String, label: String) {
        if self.garbled.get() {
            return;
        }
        self.complaints.borrow_mut().push(Complaint {
            severity,
            message,
            label,
            place: Some((Arc::clone(&self.text), span)),
        });
    }

    /// Whether there is an error so far.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.complaints
            .borrow()
            .iter()
            .any(|complaint| complaint.severity == Severity::Error)
    }

    /// Everything complained of, in the order of the file.
    #[must_use]
    pub fn into_complaints(self) -> Vec<Complaint> {
        let mut complaints = self.complaints.into_inner();
        conceal(&self.text, self.secrets.into_inner(), &mut complaints);
        complaints
            .sort_by_key(|complaint| complaint.place.as_ref().map_or(0, |(_, span)| span.start));
        complaints
    }
}

/// What complaints say of a value that must not stand where it stands: not in their pictures either, which go to logs.
const SECRET: [&str; 2] = ["in plain text", "user information"];

/// Puts asterisks in the place of such values, in the pictures of all complaints.
fn conceal(text: &Arc<Text>, mut spans: Vec<Range<usize>>, complaints: &mut [Complaint]) {
    let is_secret = |complaint: &&Complaint| {
        let message = complaint.message.as_str();
        SECRET.iter().any(|words| message.contains(words))
    };
    let secrets = complaints.iter().filter(is_secret);
    spans.extend(
        secrets.filter_map(|complaint| complaint.place.as_ref().map(|(_, span)| span.clone())),
    );
    if spans.is_empty() {
        return;
    }
    let hidden = |at: usize| spans.iter().any(|span| span.contains(&at));
    let mut content = String::with_capacity(text.content.len());
    for (at, c) in text.content.char_indices() {
        match c {
            '"' | '\'' | '\n' => content.push(c),
            // As many bytes, so that places stay.
            _ if hidden(at) => content.extend(std::iter::repeat_n('*', c.len_utf8())),
            _ => content.push(c),
        }
    }
    let concealed = Arc::new(Text {
        name: text.name.clone(),
        content,
    });
    for complaint in complaints {
        if let Some((text, _)) = &mut complaint.place {
            *text = Arc::clone(&concealed);
        }
    }
}
