//! Conditions: RFC 9535 filter expressions over a call's JSON (`when`), and `JSONPaths` into it. Owns compiling and
//! evaluating them; parsing is the `jsonpath-rust` crate's.
//!
//! Evaluation is ours for four measured reasons (docs/adr/0002): regular expressions are compiled once and not per
//! node, integers compare exactly, no path strings are built, and the work is bounded by [`MAX_NODES`].
//!
//! It goes beyond RFC 9535 in one thing. Where a path of names alone meets a list, because a field was sent more than
//! once, nobody knows which of its values the backend will take – nor where it ends at an object, because a field was
//! sent as `a[x]`. So a test asks what *may* be true: of the whole, or of any one of its values. That cannot be evaded
//! by `!` or `!=` either, as both ends are carried through the expression.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Once;

use jsonpath_rust::parser::errors::JsonPathError;
use jsonpath_rust::parser::model as ast;
use jsonpath_rust::parser::parse_json_path;
use serde_json::Value;

use crate::rules::pattern;
use crate::rules::pattern::MATCHED;
use crate::rules::pattern::Pattern;
use crate::rules::pattern::Room;
use crate::rules::pattern::TooLong;
use crate::source::shape::suggestion;

/// The longest expression, in bytes.
pub const MAX_EXPRESSION: usize = 4000;
/// How many nodes one evaluation may visit.
pub const MAX_NODES: usize = 100_000;

/// How many bytes of a text are as much work as one node.
const BYTES_PER_NODE: usize = 256;

/// A compiled filter expression: `@.doc.age < 16 && !@.doc.guardian`.
#[derive(Debug, Clone)]
pub struct Condition {
    test: Test,
}

/// A compiled JSONPath: `$.data.id`.
#[derive(Debug, Clone)]
pub struct Path {
    query: Query,
}

/// What is wrong with an expression, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The bytes of the expression; empty at the end if it breaks off.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// How to mend it; may be empty.
    pub mend: String,
}

/// Why an evaluation was given up; only a hostile doc makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// It visited more than [`MAX_NODES`] nodes.
    #[error("it was given up after {MAX_NODES} nodes")]
    Nodes,
    /// Its patterns would be put to more text than they may.
    #[error(transparent)]
    Text(#[from] TooLong),
}

#[derive(Debug, Clone)]
enum Test {
    Any(Vec<Self>),
    All(Vec<Self>),
    Not(Box<Self>),
    Exists(Query),
    Compare(Operator, Operand, Operand),
    Matches(Operand, Pattern),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone)]
enum Operand {
    Literal(Value),
    /// The value of a query that selects one node, else nothing.
    Value(Query),
    Length(Box<Self>),
    Count(Query),
}

#[derive(Debug, Clone)]
struct Query {
    from_root: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
struct Step {
    descends: bool,
    selectors: Vec<Selector>,
}

#[derive(Debug, Clone)]
enum Selector {
    Name(String),
    Wildcard,
    Index(i64),
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    },
    Filter(Box<Test>),
}

impl Condition {
    /// Compiles a filter expression.
    ///
    /// # Errors
    /// [`Fault`] with its place and the mend.
    pub fn compile(expression: &str) -> Result<Self, Fault> {
        const BEFORE: &str = "$[?";
        let query = parse(expression, BEFORE, "]")?;
        match query.segments.as_slice() {
            [ast::Segment::Selector(ast::Selector::Filter(filter))] => {
                let test = Compiler { expression }.filter(filter)?;
                Ok(Self { test })
            }
            _ => Err(Fault::whole(
                expression,
                "not a condition",
                "write for example `@.doc.age < 16`",
            )),
        }
    }

    /// What the condition looks for that no call has: `@.docs.age`.
    #[must_use]
    pub fn misnamed(&self, expression: &str) -> Option<Fault> {
        let mut fault = None;
        self.test.each_query(&mut |query| {
            fault = fault.take().or_else(|| query.misnamed(expression));
        });
        fault
    }

    /// The fields that are compared with a number, and where in the expression each name stands.
    #[must_use]
    pub fn numbers(&self, expression: &str) -> Vec<(String, Range<usize>)> {
        let mut fields = Vec::new();
        self.test.each_comparison(&mut |left, right| {
            let name = match (left, right) {
                (Operand::Value(query), Operand::Literal(Value::Number(_)))
                | (Operand::Literal(Value::Number(_)), Operand::Value(query)) => query.field(),
                _ => None,
            };
            if let Some(name) = name {
                let fault = Fault::at(expression, name, "", "");
                fields.push((name.to_owned(), fault.span));
            }
        });
        fields
    }

    /// The fields that the condition asks about by name, each once.
    #[must_use]
    pub fn fields(&self) -> Vec<String> {
        let mut fields = Vec::new();
        self.test.each_query_within(true, &mut |query, at_call| {
            let name = query.doc_field().filter(|_| at_call || query.from_root);
            if let Some(name) = name.filter(|name| !fields.iter().any(|known| known == name)) {
                fields.push(name.to_owned());
            }
        });
        fields
    }

    /// Whether the condition may hold for `call`: for one of the values of each field that was sent more than once,
    /// or for their list. Of the fields named in `lists` only the list counts. Each pattern has `room` for so much text.
    ///
    /// # Errors
    /// [`TooMuch`] when the call is too large to tell.
    pub fn holds(&self, call: &Value, lists: &[String], room: Room) -> Result<bool, TooMuch> {
        let mut evaluation = Evaluation::new(call, lists);
        evaluation.room = room;
        evaluation.may(&self.test, call, true)
    }
}

impl Path {
    /// Compiles a JSONPath that starts with `$`.
    ///
    /// # Errors
    /// [`Fault`] with its place and the mend.
    pub fn compile(expression: &str) -> Result<Self, Fault> {
        if !expression.starts_with('$') {
            return Err(Fault::whole(
                expression,
                "not a JSONPath",
                "a JSONPath starts with `$`, for example `$.doc.email`",
            ));
        }
        let query = parse(expression, "", "")?;
        let compiler = Compiler { expression };
        let query = compiler.query(true, &query.segments)?;
        Ok(Self { query })
    }

    /// What the path looks for that no call has: `$.docs.age`.
    #[must_use]
    pub fn misnamed(&self, expression: &str) -> Option<Fault> {
        self.query.misnamed(expression)
    }

    /// The values that the path locates in `root`.
    ///
    /// # Errors
    /// [`TooMuch`] when `root` is too large to tell.
    pub fn locate<'a>(&'a self, root: &'a Value) -> Result<Vec<&'a Value>, TooMuch> {
        Evaluation::new(root, &[]).query(&self.query, root, true)
    }

    /// The values that the path may mean in `root`: where it has names alone, those in lists too.
    ///
    /// # Errors
    /// [`TooMuch`] when `root` is too large to tell.
    pub fn may_locate<'a>(&'a self, root: &'a Value) -> Result<Vec<&'a Value>, TooMuch> {
        let mut evaluation = Evaluation::new(root, &[]);
        if self.query.has_names_alone() {
            let readings = evaluation.readings(&self.query, root)?;
            Ok(readings.into_iter().flatten().collect())
        } else {
            evaluation.query(&self.query, root, true)
        }
    }

    /// The field that the path asks about by name.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.query.doc_field()
    }

    /// The member names of a path that goes straight to one value (`$.a.b`), to find its place in a text.
    #[must_use]
    pub fn names(&self) -> Option<Vec<&str>> {
        let steps = self.query.steps.iter();
        steps
            .map(|step| match (step.descends, step.selectors.as_slice()) {
                (false, [Selector::Name(name)]) => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }
}

// === names that a call has ===

/// The blocks of a call, and the members of those whose members are known.
const BLOCKS: [(&str, &[&str]); 6] = [
    ("event", &[]),
    ("user_info", &[]),
    (
        "meta_info",
        &[
            "project",
            "request_id",
            "sent_at",
            "run",
            "ip",
            "user_agent",
            "referer",
            "locale",
        ],
    ),
    (
        "form_info",
        &[
            "id",
            "title",
            "method",
            "path",
            "params",
            "content_type",
            "submitted_at",
            "submission_id",
            "result",
        ],
    ),
    ("doc", &[]),
    ("analytics", &[]),
];

impl Query {
    fn misnamed(&self, expression: &str) -> Option<Fault> {
        let block = self.name(0)?;
        let Some((_, members)) = BLOCKS.iter().find(|(name, _)| *name == block) else {
            let names = BLOCKS.map(|(name, _)| name);
            let message = format!("a call has no `{block}`");
            return Some(Fault::at(
                expression,
                block,
                message,
                suggestion(block, names),
            ));
        };
        let member = self.name(1)?;
        if members.is_empty() || members.contains(&member) {
            return None;
        }
        let message = format!("`{block}` has no `{member}`");
        let mend = suggestion(member, members.iter().copied());
        Some(Fault::at(expression, member, message, mend))
    }

    /// The field that the query asks for, if it asks for one field as it is.
    fn field(&self) -> Option<&str> {
        let of_doc = self.steps.len() == 2 && self.name(0) == Some("doc");
        self.name(1).filter(|_| of_doc)
    }

    /// The field that the query asks about, or about a part of.
    fn doc_field(&self) -> Option<&str> {
        self.name(1).filter(|_| self.name(0) == Some("doc"))
    }

    /// Whether the path is names only: it is meant to lead to one value.
    fn has_names_alone(&self) -> bool {
        (0..self.steps.len()).all(|at| self.name(at).is_some())
    }

    fn has_filter(&self) -> bool {
        let mut selectors = self.steps.iter().flat_map(|step| &step.selectors);
        selectors.any(|selector| matches!(selector, Selector::Filter(_)))
    }

    /// The name that the step of this number asks for, if it asks for one name.
    fn name(&self, at: usize) -> Option<&str> {
        match self.steps.get(at) {
            Some(Step {
                descends: false,
                selectors,
            }) => match selectors.as_slice() {
                [Selector::Name(name)] => Some(name),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Test {
    /// Visits the queries that begin at the call itself; inside a filter `@` is something else.
    fn each_query(&self, visit: &mut impl FnMut(&Query)) {
        match self {
            Self::Any(tests) | Self::All(tests) => {
                tests.iter().for_each(|test| test.each_query(visit));
            }
            Self::Not(test) => test.each_query(visit),
            Self::Exists(query) => visit(query),
            Self::Compare(_, left, right) => {
                left.each_query(visit);
                right.each_query(visit);
            }
            Self::Matches(operand, _) => operand.each_query(visit),
        }
    }
}

impl Test {
    /// Visits all queries, those in filters too, and says whether `@` is the call there.
    fn each_query_within(&self, at_call: bool, visit: &mut impl FnMut(&Query, bool)) {
        match self {
            Self::Any(tests) | Self::All(tests) => {
                for test in tests {
                    test.each_query_within(at_call, visit);
                }
            }
            Self::Not(test) => test.each_query_within(at_call, visit),
            Self::Exists(query) => query.each_within(at_call, visit),
            Self::Compare(_, left, right) => {
                left.each_query(&mut |query| query.each_within(at_call, visit));
                right.each_query(&mut |query| query.each_within(at_call, visit));
            }
            Self::Matches(operand, _) => {
                operand.each_query(&mut |query| query.each_within(at_call, visit));
            }
        }
    }
}

impl Query {
    /// Visits the query, and those in its filters.
    fn each_within<V: FnMut(&Self, bool)>(&self, at_call: bool, visit: &mut V) {
        visit(self, at_call);
        for selector in self.steps.iter().flat_map(|step| &step.selectors) {
            if let Selector::Filter(test) = selector {
                test.each_query_within(false, visit);
            }
        }
    }
}

impl Test {
    /// Visits both sides of every comparison of the call itself.
    fn each_comparison(&self, visit: &mut impl FnMut(&Operand, &Operand)) {
        match self {
            Self::Any(tests) | Self::All(tests) => {
                tests.iter().for_each(|test| test.each_comparison(visit));
            }
            Self::Not(test) => test.each_comparison(visit),
            Self::Compare(_, left, right) => visit(left, right),
            Self::Exists(_) | Self::Matches(..) => {}
        }
    }
}

impl Operand {
    fn each_query(&self, visit: &mut impl FnMut(&Query)) {
        match self {
            Self::Literal(_) => {}
            Self::Value(query) | Self::Count(query) => visit(query),
            Self::Length(operand) => operand.each_query(visit),
        }
    }
}

// === compiling ===

impl Fault {
    fn whole(expression: &str, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            span: 0..expression.len(),
            message: message.into(),
            mend: mend.into(),
        }
    }

    /// A fault at the first place where `part` stands in the expression.
    fn at(
        expression: &str,
        part: &str,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        let mut fault = Self::whole(expression, message, mend);
        if let Some(start) = expression.find(part).filter(|_| !part.is_empty()) {
            fault.span = start..start + part.len();
        }
        fault
    }
}

/// Parses `before + expression + after`, with places counted in `expression`.
fn parse(expression: &str, before: &str, after: &str) -> Result<ast::JpQuery, Fault> {
    // The grammar backtracks: unclosed nesting would take exponential time without a bound. The limit is the
    // process's, not the call's, so it is set once.
    static CALL_LIMIT: Once = Once::new();
    CALL_LIMIT.call_once(|| pest::set_call_limit(std::num::NonZeroUsize::new(500_000)));
    if expression.len() > MAX_EXPRESSION {
        let message = format!("the expression is {} bytes long", expression.len());
        return Err(Fault::whole(
            expression,
            message,
            format!("at most {MAX_EXPRESSION} are allowed"),
        ));
    }
    parse_json_path(&format!("{before}{expression}{after}"))
        .map_err(|error| explain(expression, before.len(), &error))
}

fn explain(expression: &str, before: usize, error: &JsonPathError) -> Fault {
    let JsonPathError::PestError(error) = error else {
        let text = error.to_string();
        return Fault::whole(
            expression,
            text.replace("Invalid json path: ", ""),
            hint(expression),
        );
    };
    let at = match error.location {
        pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
    };
    let at = at.saturating_sub(before).min(expression.len());
    let rest = &expression[expression.floor_char_boundary(at)..];
    let width = rest.find([' ', ')', ']']).unwrap_or(rest.len()).max(1);
    let end = expression.ceil_char_boundary((at + width).min(expression.len()));
    Fault {
        span: at..end.max(at),
        message: if rest.is_empty() {
            "the condition breaks off here".to_owned()
        } else {
            "the condition cannot be read here".to_owned()
        },
        mend: hint(expression).to_owned(),
    }
}

/// The mend for the mistakes that people make most.
fn hint(expression: &str) -> &'static str {
    let has = |part: &str| expression.contains(part);
    let trimmed = expression.trim();
    let opened = expression.matches('(').count();
    if trimmed.is_empty() || trimmed == "true" {
        "leave it out for always"
    } else if has(" and ") || has(" or ") || has("not ") {
        "write `&&`, `||` and `!`"
    } else if has(" = ") {
        "comparison is `==`"
    } else if has(" in ") {
        "there is no `in`; write `@.doc.x == 'a' || @.doc.x == 'b'`"
    } else if has("=~") {
        "write `search(@.doc.x, 'pattern')`"
    } else if trimmed.ends_with(['<', '>', '=', '&', '|']) {
        "something is missing behind the operator"
    } else if opened > expression.matches(')').count() {
        "a `(` is not closed"
    } else if has("match(") || has("search(") {
        "write `match(@.doc.x, 'pattern')` for the whole value, `search(@.doc.x, 'pattern')` for a part of it"
    } else if opened > 0
        && !["length(", "count(", "value("].into_iter().any(has)
        && !has(" (")
        && !expression.starts_with(['(', '!'])
    {
        "the functions are match(), search(), length(), count() and value()"
    } else if has("== [") || has("== {") {
        "only texts, numbers, true, false and null can be compared; ask for one value: `@.doc.tags[0] == 'a'`"
    } else if has(".*") || has("..") || has("[*]") {
        "only a path to one value can be compared; for any of several write `@.doc.items[?@ == 'x']`"
    } else if !expression.contains(['@', '$']) {
        "a path begins with `@`: `@.doc.age`"
    } else if has("-") {
        "a name with a dash needs brackets: `@.doc['first-name']`"
    } else {
        "conditions are RFC 9535 filter expressions such as `@.doc.age < 16 && !@.doc.guardian`"
    }
}

struct Compiler<'e> {
    expression: &'e str,
}

impl Compiler<'_> {
    fn filter(&self, filter: &ast::Filter) -> Result<Test, Fault> {
        let all = |filters: &[ast::Filter]| -> Result<Vec<Test>, Fault> {
            filters.iter().map(|filter| self.filter(filter)).collect()
        };
        match filter {
            ast::Filter::Or(filters) => Ok(Test::Any(all(filters)?)),
            ast::Filter::And(filters) => Ok(Test::All(all(filters)?)),
            ast::Filter::Atom(atom) => self.atom(atom),
        }
    }

    fn atom(&self, atom: &ast::FilterAtom) -> Result<Test, Fault> {
        let (test, not) = match atom {
            ast::FilterAtom::Filter { expr, not } => (self.filter(expr)?, *not),
            ast::FilterAtom::Test { expr, not } => (self.test(expr)?, *not),
            ast::FilterAtom::Comparison(comparison) => (self.comparison(comparison)?, false),
        };
        Ok(if not { Test::Not(Box::new(test)) } else { test })
    }

    fn test(&self, test: &ast::Test) -> Result<Test, Fault> {
        match test {
            ast::Test::RelQuery(segments) => Ok(Test::Exists(self.query(false, segments)?)),
            ast::Test::AbsQuery(query) => Ok(Test::Exists(self.query(true, &query.segments)?)),
            ast::Test::Function(function) => match &**function {
                ast::TestFunction::Match(subject, regex) => {
                    self.regex(subject, regex, "match", pattern::whole)
                }
                ast::TestFunction::Search(subject, regex) => {
                    self.regex(subject, regex, "search", pattern::anywhere)
                }
                ast::TestFunction::Custom(name, _) => Err(self.unknown_function(name)),
                ast::TestFunction::Length(_)
                | ast::TestFunction::Count(_)
                | ast::TestFunction::Value(_) => {
                    let message = "length(), count() and value() give a value, not true or false";
                    Err(Fault::whole(
                        self.expression,
                        message,
                        "compare it: `length(@.doc.name) > 2`",
                    ))
                }
            },
        }
    }

    fn unknown_function(&self, name: &str) -> Fault {
        let mend = "there are match(), search(), length(), count() and value(); for a list write `@.a == 'x' || @.a == 'y'`";
        Fault::at(
            self.expression,
            name,
            format!("`{name}()` is not a function of RFC 9535"),
            mend,
        )
    }

    fn regex(
        &self,
        subject: &ast::FnArg,
        regex: &ast::FnArg,
        function: &str,
        compile: fn(&str) -> Result<Pattern, String>,
    ) -> Result<Test, Fault> {
        let ast::FnArg::Literal(ast::Literal::String(written)) = regex else {
            let message = format!("the pattern of {function}() must be a text in quotes");
            let mend = "a pattern that comes from the document could take any time";
            return Err(Fault::at(self.expression, function, message, mend));
        };
        let compiled =
            compile(written).map_err(|message| Fault::at(self.expression, written, message, ""))?;
        Ok(Test::Matches(self.argument(subject)?, compiled))
    }

    fn comparison(&self, comparison: &ast::Comparison) -> Result<Test, Fault> {
        let operator = match comparison {
            ast::Comparison::Eq(..) => Operator::Equal,
            ast::Comparison::Ne(..) => Operator::NotEqual,
            ast::Comparison::Lt(..) => Operator::Less,
            ast::Comparison::Lte(..) => Operator::LessOrEqual,
            ast::Comparison::Gt(..) => Operator::Greater,
            ast::Comparison::Gte(..) => Operator::GreaterOrEqual,
        };
        let (left, right) = comparison.vals();
        Ok(Test::Compare(
            operator,
            self.comparable(left)?,
            self.comparable(right)?,
        ))
    }

    fn comparable(&self, comparable: &ast::Comparable) -> Result<Operand, Fault> {
        match comparable {
            ast::Comparable::Literal(literal) => Ok(Operand::Literal(literal_value(literal))),
            ast::Comparable::Function(function) => self.function_value(function),
            ast::Comparable::SingularQuery(query) => {
                let (from_root, segments) = match query {
                    ast::SingularQuery::Current(segments) => (false, segments),
                    ast::SingularQuery::Root(segments) => (true, segments),
                };
                let steps: Result<Vec<Step>, Fault> = segments
                    .iter()
                    .map(|segment| match segment {
                        ast::SingularQuerySegment::Name(name) => self.name(name),
                        ast::SingularQuerySegment::Index(index) => Ok(Selector::Index(*index)),
                    })
                    .map(|selector| selector.map(Step::one))
                    .collect();
                let steps = steps?;
                Ok(Operand::Value(Query { from_root, steps }))
            }
        }
    }

    fn function_value(&self, function: &ast::TestFunction) -> Result<Operand, Fault> {
        match function {
            ast::TestFunction::Length(argument) => {
                Ok(Operand::Length(Box::new(self.argument(argument)?)))
            }
            ast::TestFunction::Value(argument) => {
                Ok(Operand::Value(self.nodes(argument, "value")?))
            }
            ast::TestFunction::Count(argument) => {
                Ok(Operand::Count(self.nodes(argument, "count")?))
            }
            ast::TestFunction::Custom(name, _) => Err(self.unknown_function(name)),
            ast::TestFunction::Match(..) | ast::TestFunction::Search(..) => Err(Fault::whole(
                self.expression,
                "match() and search() are true or false by themselves",
                "leave out the comparison",
            )),
        }
    }

    /// An argument that must be one value: RFC 9535 wants a literal, a singular query or a function of value type.
    fn argument(&self, argument: &ast::FnArg) -> Result<Operand, Fault> {
        match argument {
            ast::FnArg::Literal(literal) => Ok(Operand::Literal(literal_value(literal))),
            ast::FnArg::Test(test) => match &**test {
                ast::Test::Function(function) => self.function_value(function),
                ast::Test::RelQuery(_) | ast::Test::AbsQuery(_) => {
                    let query = self.nodes(argument, "length")?;
                    if query.is_singular() {
                        return Ok(Operand::Value(query));
                    }
                    let message = "this needs a path to one value, without `*`, `..` or filters";
                    Err(Fault::whole(
                        self.expression,
                        message,
                        "wrap it: `length(value(@..x))`, or use count()",
                    ))
                }
            },
            ast::FnArg::Filter(_) => Err(Fault::whole(
                self.expression,
                "a condition cannot be an argument",
                "",
            )),
        }
    }

    fn nodes(&self, argument: &ast::FnArg, function: &str) -> Result<Query, Fault> {
        if let ast::FnArg::Test(test) = argument {
            match &**test {
                ast::Test::RelQuery(segments) => return self.query(false, segments),
                ast::Test::AbsQuery(query) => return self.query(true, &query.segments),
                ast::Test::Function(_) => {}
            }
        }
        let message = format!("{function}() wants a path such as `@.doc.items`");
        Err(Fault::at(self.expression, function, message, ""))
    }

    fn query(&self, from_root: bool, segments: &[ast::Segment]) -> Result<Query, Fault> {
        let steps: Vec<Step> = segments
            .iter()
            .map(|segment| self.step(segment))
            .collect::<Result<_, _>>()?;
        if steps.iter().filter(|step| step.descends).count() > 1 {
            let message = "`..` may stand only once in a path";
            return Err(Fault::at(
                self.expression,
                "..",
                message,
                "each one more looks at every node again",
            ));
        }
        Ok(Query { from_root, steps })
    }

    fn step(&self, segment: &ast::Segment) -> Result<Step, Fault> {
        match segment {
            ast::Segment::Descendant(inner) => {
                let mut step = self.step(inner)?;
                step.descends = true;
                Ok(step)
            }
            ast::Segment::Selector(selector) => Ok(Step::one(self.selector(selector)?)),
            ast::Segment::Selectors(selectors) => Ok(Step {
                descends: false,
                selectors: selectors
                    .iter()
                    .map(|selector| self.selector(selector))
                    .collect::<Result<_, _>>()?,
            }),
        }
    }

    fn selector(&self, selector: &ast::Selector) -> Result<Selector, Fault> {
        Ok(match selector {
            ast::Selector::Name(name) => self.name(name)?,
            ast::Selector::Wildcard => Selector::Wildcard,
            ast::Selector::Index(index) => Selector::Index(*index),
            ast::Selector::Slice(start, end, step) => Selector::Slice {
                start: *start,
                end: *end,
                step: step.unwrap_or(1),
            },
            ast::Selector::Filter(filter) => Selector::Filter(Box::new(self.filter(filter)?)),
        })
    }

    /// The parser takes white space inside a dotted name, so that `@.a in ['x']` becomes a name `a in` that no
    /// document has. Such a name must have been written in brackets and quotes.
    fn name(&self, name: &str) -> Result<Selector, Fault> {
        let quoted = [format!("'{name}'"), format!("\"{name}\"")];
        let odd = name.contains(char::is_whitespace)
            && !quoted.iter().any(|quoted| self.expression.contains(quoted));
        if odd && !self.expression.contains('\\') {
            let mend = if name.contains(" in") || name.ends_with(" in") {
                "there is no `in`; write `@.doc.x == 'a' || @.doc.x == 'b'`".to_owned()
            } else {
                format!("a name with a space needs brackets: `['{name}']`")
            };
            return Err(Fault::at(
                self.expression,
                name,
                format!("this would look for a field named `{name}`"),
                mend,
            ));
        }
        Ok(Selector::Name(name.to_owned()))
    }
}

fn literal_value(literal: &ast::Literal) -> Value {
    match literal {
        ast::Literal::Int(number) => (*number).into(),
        ast::Literal::Float(number) => (*number).into(),
        ast::Literal::String(text) => text.as_str().into(),
        ast::Literal::Bool(flag) => (*flag).into(),
        ast::Literal::Null => Value::Null,
    }
}

impl Step {
    fn one(selector: Selector) -> Self {
        Self {
            descends: false,
            selectors: vec![selector],
        }
    }
}

impl Query {
    fn is_singular(&self) -> bool {
        self.steps.iter().all(|step| {
            !step.descends
                && matches!(
                    step.selectors.as_slice(),
                    [Selector::Name(_) | Selector::Index(_)]
                )
        })
    }
}

// === evaluating ===

struct Evaluation<'a> {
    root: &'a Value,
    /// Fields that are lists by their type.
    lists: &'a [String],
    nodes: usize,
    room: Room,
    /// What is left of it for each pattern that has been asked.
    rooms: Vec<(&'a Pattern, Room)>,
}

impl<'a> Evaluation<'a> {
    const fn new(root: &'a Value, lists: &'a [String]) -> Self {
        Self {
            root,
            lists,
            nodes: 0,
            room: Room::new(MATCHED),
            rooms: Vec::new(),
        }
    }

    fn is_match(&mut self, pattern: &'a Pattern, text: &str) -> Result<bool, TooLong> {
        let known = self.rooms.iter();
        let known = known
            .enumerate()
            .find(|(_, (one, _))| std::ptr::eq(*one, pattern));
        let at = known.map_or(self.rooms.len(), |(at, _)| at);
        if at == self.rooms.len() {
            self.rooms.push((pattern, self.room));
        }
        pattern.is_match(text, &mut self.rooms[at].1)
    }

    const fn visit(&mut self) -> Result<(), TooMuch> {
        self.spend(1)
    }

    /// Counts work as so many nodes.
    const fn spend(&mut self, nodes: usize) -> Result<(), TooMuch> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            Err(TooMuch::Nodes)
        } else {
            Ok(())
        }
    }

    /// Looking through a value is as much work as it is large.
    fn spend_on(&mut self, value: Option<&Value>) -> Result<(), TooMuch> {
        match value {
            Some(Value::String(text)) => self.spend(text.len() / BYTES_PER_NODE),
            Some(Value::Array(list)) => list.iter().try_for_each(|value| {
                self.visit()?;
                self.spend_on(Some(value))
            }),
            Some(Value::Object(object)) => object.values().try_for_each(|value| {
                self.visit()?;
                self.spend_on(Some(value))
            }),
            Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => Ok(()),
        }
    }

    /// Whether the test may come out as `wanted`.
    fn may(&mut self, test: &'a Test, current: &'a Value, wanted: bool) -> Result<bool, TooMuch> {
        match test {
            Test::Any(tests) => self.may_each(tests, current, wanted, wanted),
            Test::All(tests) => self.may_each(tests, current, wanted, !wanted),
            Test::Not(test) => self.may(test, current, !wanted),
            Test::Exists(query) if query.has_names_alone() => {
                let readings = self.readings(query, current)?;
                Ok(readings.iter().any(|found| found.is_some() == wanted))
            }
            Test::Exists(query) => Ok(self.query(query, current, wanted)?.is_empty() != wanted),
            Test::Compare(operator, left, right) => {
                let (left, right) = (self.operand(left, current)?, self.operand(right, current)?);
                for left in &left {
                    for right in &right {
                        self.spend_on(left.as_deref())?;
                        self.spend_on(right.as_deref())?;
                        self.visit()?;
                        if compare(*operator, left.as_deref(), right.as_deref()) == wanted {
                            return Ok(true);
                        }
                    }
                }
                Ok(false)
            }
            Test::Matches(subject, pattern) => {
                for subject in self.operand(subject, current)? {
                    self.spend_on(subject.as_deref())?;
                    let matches = match subject.as_deref() {
                        Some(Value::String(text)) => self.is_match(pattern, text)?,
                        _ => false,
                    };
                    if matches == wanted {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Whether one of the tests may come out as wanted, if one is `enough`, else whether all may.
    fn may_each(
        &mut self,
        tests: &'a [Test],
        current: &'a Value,
        wanted: bool,
        enough: bool,
    ) -> Result<bool, TooMuch> {
        for test in tests {
            if self.may(test, current, wanted)? == enough {
                return Ok(enough);
            }
        }
        Ok(!enough)
    }

    /// The values that the operand may have; `None` is RFC 9535's "Nothing".
    fn operand(
        &mut self,
        operand: &'a Operand,
        current: &'a Value,
    ) -> Result<Vec<Option<Cow<'a, Value>>>, TooMuch> {
        Ok(match operand {
            Operand::Literal(value) => vec![Some(Cow::Borrowed(value))],
            Operand::Value(query) if query.has_names_alone() => {
                let readings = self.readings(query, current)?.into_iter();
                readings.map(|value| value.map(Cow::Borrowed)).collect()
            }
            Operand::Value(query) => {
                let one = |nodes: Vec<&'a Value>| match nodes.as_slice() {
                    [one] => Some(Cow::Borrowed(*one)),
                    _ => None,
                };
                let most = one(self.query(query, current, true)?);
                if query.has_filter() {
                    alternatives(most, one(self.query(query, current, false)?))
                } else {
                    vec![most]
                }
            }
            Operand::Length(of) => {
                let values = self.operand(of, current)?;
                let mut lengths = Vec::with_capacity(values.len());
                for value in values {
                    if let Some(Value::String(text)) = value.as_deref() {
                        self.spend(text.len() / BYTES_PER_NODE)?;
                    }
                    lengths.push(value.and_then(|value| length(&value)).map(Cow::Owned));
                }
                lengths
            }
            Operand::Count(query) => {
                let most = self.query(query, current, true)?.len();
                let least = if query.has_filter() {
                    self.query(query, current, false)?.len()
                } else {
                    most
                };
                let counts = least.min(most)..=most;
                counts.map(|count| Some(Cow::Owned(count.into()))).collect()
            }
        })
    }

    /// What a path of names alone may mean: as RFC 9535 says and, where it meets a list, what it is in each element;
    /// where it ends at an object, each value in that.
    fn readings(
        &mut self,
        query: &'a Query,
        current: &'a Value,
    ) -> Result<Vec<Option<&'a Value>>, TooMuch> {
        let start = if query.from_root { self.root } else { current };
        let is_list = query.field().is_some_and(|name| {
            let mut lists = self.lists.iter();
            lists.any(|list| list.strip_suffix("[]").unwrap_or(list) == name || list == name)
        });
        let mut found = Vec::with_capacity(1);
        self.read(&query.steps, start, is_list, &mut found)?;
        Ok(found)
    }

    fn read(
        &mut self,
        steps: &'a [Step],
        node: &'a Value,
        is_list: bool,
        found: &mut Vec<Option<&'a Value>>,
    ) -> Result<(), TooMuch> {
        self.visit()?;
        let elements = node.as_array().filter(|_| !is_list);
        for element in elements.into_iter().flatten() {
            self.read(steps, element, is_list, found)?;
        }
        let Some((step, rest)) = steps.split_first() else {
            found.push(Some(node));
            // `a[x]=…` for `a`: whoever asks about `a` asks about what was sent under it.
            for member in node
                .as_object()
                .into_iter()
                .flat_map(|object| object.values())
            {
                self.read(steps, member, false, found)?;
            }
            return Ok(());
        };
        let [Selector::Name(name)] = step.selectors.as_slice() else {
            return Ok(());
        };
        match node.get(name) {
            Some(child) => self.read(rest, child, is_list, found),
            None => {
                found.push(None);
                Ok(())
            }
        }
    }

    /// The nodes that the query selects. Its filters let pass what may fulfil them if `widely`, else only what does
    /// in every reading.
    fn query(
        &mut self,
        query: &'a Query,
        current: &'a Value,
        widely: bool,
    ) -> Result<Vec<&'a Value>, TooMuch> {
        let mut nodes = vec![if query.from_root { self.root } else { current }];
        for step in &query.steps {
            let mut next = Vec::with_capacity(nodes.len());
            for node in nodes {
                if step.descends {
                    self.descend(step, node, widely, &mut next)?;
                } else {
                    self.select(step, node, widely, &mut next)?;
                }
            }
            nodes = next;
        }
        Ok(nodes)
    }

    fn descend(
        &mut self,
        step: &'a Step,
        node: &'a Value,
        widely: bool,
        found: &mut Vec<&'a Value>,
    ) -> Result<(), TooMuch> {
        self.visit()?;
        self.select(step, node, widely, found)?;
        match node {
            Value::Object(object) => object
                .values()
                .try_for_each(|child| self.descend(step, child, widely, found)),
            Value::Array(list) => list
                .iter()
                .try_for_each(|child| self.descend(step, child, widely, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn select(
        &mut self,
        step: &'a Step,
        node: &'a Value,
        widely: bool,
        found: &mut Vec<&'a Value>,
    ) -> Result<(), TooMuch> {
        for selector in &step.selectors {
            self.visit()?;
            match selector {
                Selector::Name(name) => found.extend(node.get(name)),
                Selector::Index(index) => {
                    found.extend(node.as_array().and_then(|list| at(list, *index)));
                }
                Selector::Slice { start, end, step } => {
                    if let Some(list) = node.as_array() {
                        let before = found.len();
                        slice(list, *start, *end, *step, found);
                        self.spend(found.len() - before)?;
                    }
                }
                Selector::Wildcard => {
                    for child in children(node) {
                        self.visit()?;
                        found.push(child);
                    }
                }
                Selector::Filter(test) => {
                    for child in children(node) {
                        self.visit()?;
                        if self.may(test, child, widely)? == widely {
                            found.push(child);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn alternatives<T: PartialEq>(one: T, other: T) -> Vec<T> {
    if one == other {
        vec![one]
    } else {
        vec![one, other]
    }
}

fn children(node: &Value) -> Vec<&Value> {
    match node {
        Value::Object(object) => object.values().collect(),
        Value::Array(list) => list.iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn at(list: &[Value], index: i64) -> Option<&Value> {
    let length = i64::try_from(list.len()).ok()?;
    let at = if index < 0 { length + index } else { index };
    list.get(usize::try_from(at).ok()?)
}

/// RFC 9535, section 2.3.4.2.
fn slice<'a>(
    list: &'a [Value],
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
    found: &mut Vec<&'a Value>,
) {
    let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
    let normal = |at: i64| {
        if at >= 0 {
            at
        } else {
            length.saturating_add(at)
        }
    };
    let mut take = |at: i64| found.extend(usize::try_from(at).ok().and_then(|at| list.get(at)));
    if step > 0 {
        let (mut at, upper) = (
            normal(start.unwrap_or(0)).clamp(0, length),
            normal(end.unwrap_or(length)).clamp(0, length),
        );
        while at < upper {
            take(at);
            at = at.saturating_add(step);
        }
    } else if step < 0 {
        let upper = normal(start.unwrap_or(length - 1)).clamp(-1, length - 1);
        let lower = end.map_or(-1, |end| normal(end).clamp(-1, length - 1));
        let mut at = upper;
        while at > lower {
            take(at);
            at = at.saturating_add(step);
        }
    }
}

/// RFC 9535, section 2.4.4: characters of a text, elements of a list, members of an object.
fn length(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => Some(text.chars().count().into()),
        Value::Array(list) => Some(list.len().into()),
        Value::Object(object) => Some(object.len().into()),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// RFC 9535, section 2.3.5.2.2: only numbers and texts have an order; two Nothings are equal.
fn compare(operator: Operator, left: Option<&Value>, right: Option<&Value>) -> bool {
    let order = match (left, right) {
        (Some(Value::Number(left)), Some(Value::Number(right))) => compare_numbers(left, right),
        (Some(Value::String(left)), Some(Value::String(right))) => Some(left.cmp(right)),
        _ => None,
    };
    let equal = || order == Some(Ordering::Equal) || same(left, right);
    match operator {
        Operator::Equal => equal(),
        Operator::NotEqual => !equal(),
        Operator::Less => order == Some(Ordering::Less),
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::LessOrEqual => order == Some(Ordering::Less) || equal(),
        Operator::GreaterOrEqual => order == Some(Ordering::Greater) || equal(),
    }
}

fn same(left: Option<&Value>, right: Option<&Value>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => equal_values(left, right),
        _ => false,
    }
}

fn equal_values(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            compare_numbers(left, right) == Some(Ordering::Equal)
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| equal_values(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, value)| {
                    right
                        .get(name)
                        .is_some_and(|other| equal_values(value, other))
                })
        }
        _ => left == right,
    }
}

/// Integers compare exactly; only a fraction goes through floating point.
fn compare_numbers(left: &serde_json::Number, right: &serde_json::Number) -> Option<Ordering> {
    let whole = |number: &serde_json::Number| number.as_i128();
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(expression: &str, call: &Value) -> bool {
        let condition = Condition::compile(expression)
            .unwrap_or_else(|fault| panic!("{expression}: {fault:?}"));
        condition
            .holds(call, &[], Room::new(MATCHED))
            .expect("small")
    }

    #[test]
    fn conditions_hold_as_rfc_9535_says() {
        let call = json!({
            "doc": {"age": 12, "name": "Zoë", "tags": ["a", "b"], "first name": "x", "n": null, "guardian": "",
                "items": [{"sku": "AB-1", "qty": 2}, {"sku": "C", "qty": 5}], "big": 9_007_199_254_740_993_i64, "less": 9_007_199_254_740_992_i64},
            "user_info": {"id": "u"},
        });
        for expression in [
            "@.doc.age < 16 && !@.doc.parent",
            "@.doc.guardian == ''",
            "@.doc.guardian",
            "!@.doc.missing",
            "@.doc.missing == @.doc.absent",
            "@.doc.n == null",
            "length(@.doc.name) == 3",
            "count(@.doc.tags[*]) == 2",
            "count(@.doc.items[?@.qty > 2]) == 1",
            "match(@.doc.name, 'Z..')",
            "search(@.doc.name, 'o')",
            "!match(@.doc.name, 'o')",
            "@.doc.items[?match(@.sku, 'AB-[0-9]')]",
            "@.doc['first name'] == 'x'",
            "value(@.doc..qty) == @.doc.missing",
            "value(@.doc.items[0].qty) == 2",
            "@.doc.items[-1].qty == 5",
            "$.user_info.id == 'u'",
            "@.doc.age >= 12 && (@.doc.age <= 12 || @.doc.age == 'x')",
            "@.doc.big == @.doc.big && @.doc.big != @.doc.less && @.doc.big > @.doc.less",
            "@.doc.age == 12.0",
            "@.doc.tags == @.doc.tags",
            "@..sku",
        ] {
            assert!(holds(expression, &call), "{expression}");
        }
        for expression in [
            "@.doc.age < 'x'",
            "@.doc.n < 1",
            "@.doc.tags < 3",
            "match(@.doc.age, '12')",
            "@.doc.parent",
        ] {
            assert!(!holds(expression, &call), "{expression}");
        }
    }

    #[test]
    fn a_field_sent_twice_counts_with_each_of_its_values() {
        let doc = |doc: Value| json!({"doc": doc});
        let ages = doc(json!({"age": [20, 12], "terms": ["0", "1"], "tags": ["a", "bcd"]}));
        for expression in [
            "@.doc.age < 16",
            "@.doc.age > 16",
            "!(@.doc.age >= 16)",
            "@.doc.age != 20",
            "!(@.doc.age == 20)",
            "16 > $.doc.age && !@.doc.guardian",
            "@.doc.terms == '1'",
            "!match(@.doc.terms, '1')",
            "length(@.doc.tags) == 3",
            "@.doc.tags[?@ == $.doc.tags]",
            "@.doc.age[?@ == 12] && !@.doc.age[?@ == 13]",
            "count(@.doc.tags[*]) == 2 && @.doc.tags[1] == 'bcd'",
        ] {
            assert!(holds(expression, &ages), "{expression}");
        }
        for expression in [
            "@.doc.age < 12",
            "@.doc.age == 13",
            "count(@.doc.tags[*]) != 2",
            "!@.doc.age",
        ] {
            assert!(!holds(expression, &ages), "{expression}");
        }
        let nested = doc(json!({"user": [{"name": [["x"]]}], "items": [{"sku": ["A"]}]}));
        for expression in [
            "@.doc.user.name == 'x'",
            "search(@.doc.user.name, 'x')",
            "!@.doc.user.name || @.doc.user.name",
            "@.doc.items[?@.sku == 'A']",
            "!@.doc.items[?@.sku == 'A']",
            "count(@.doc.items[?@.sku != 'A']) == 0",
            "count(@.doc.items[?@.sku != 'A']) == 1",
        ] {
            assert!(holds(expression, &nested), "{expression}");
        }
        let parts = doc(json!({"message": {"x": "a", "y": [{"z": "https://x"}]}}));
        for expression in [
            "search(@.doc.message, 'https?://')",
            "@.doc.message == 'a'",
            "!search(@.doc.message, 'https?://')",
            "@.doc.message.x == 'a'",
        ] {
            assert!(holds(expression, &parts), "{expression}");
        }
        for expression in ["!@.doc.message", "@.doc.message.x == 'https://x'"] {
            assert!(!holds(expression, &parts), "{expression}");
        }
        // A list by its type is one value: it is asked for its length, and its elements are asked for by `[…]`.
        let lists = ["tags".to_owned()];
        let condition = Condition::compile("length(@.doc.tags) > 2").expect("compiles");
        assert_eq!(
            condition.holds(&ages, &lists, Room::new(MATCHED)),
            Ok(false)
        );
        assert_eq!(condition.holds(&ages, &[], Room::new(MATCHED)), Ok(true));
    }

    #[test]
    fn fields_that_are_asked_about() {
        let fields = |text: &str| Condition::compile(text).expect("compiles").fields();
        let text = "@.doc.a < 1 && !($.doc['b c'] || @.doc.a) && @.doc.d[?@.doc.no == $.doc.e] && length(@.doc.f.g) > 1";
        assert_eq!(fields(text), ["a", "b c", "d", "e", "f"]);
        assert!(fields("@.user_info.id == 'x' && @.doc.*").is_empty());
        assert_eq!(
            Path::compile("$.doc.a[*]").expect("compiles").field(),
            Some("a")
        );
    }

    #[test]
    fn faults_have_a_place_and_a_mend() {
        for (expression, part, mend) in [
            ("@.doc.a in ['x']", "a in", "there is no `in`"),
            ("@.doc.first name == 'x'", "first name", "needs brackets"),
            ("@.doc.a = 'x'", "", "comparison is `==`"),
            ("@.doc.a == 'x' and @.doc.b", "", "`&&`"),
            ("match(@.doc.a, '(')", "(", ""),
            ("match(@.doc.a, @.doc.b)", "match", "any time"),
            ("in(@.doc.a, @.doc.b)", "in", "match(), search()"),
            ("length(@.doc.a)", "length(@.doc.a)", "compare it"),
            ("count(@..*..*) > 1", "..", "every node again"),
            ("@.doc.first-name", "", "brackets"),
            ("", "", "leave it out"),
            ("@.doc.a ==", "", "behind the operator"),
            ("(@.doc.a", "", "not closed"),
            ("@.doc.* == 1", "", "one value"),
            ("doc.age > 1", "", "begins with `@`"),
            ("@.doc.a > 1 1", "", "RFC 9535"),
        ] {
            let fault = Condition::compile(expression).expect_err(expression);
            assert!(fault.mend.contains(mend), "{expression}: {fault:?}");
            if !part.is_empty() {
                assert_eq!(&expression[fault.span.clone()], part, "{fault:?}");
            }
        }
    }

    #[test]
    fn fields_that_are_compared_with_numbers() {
        let expression =
            "@.doc.age < 16 && (3 == $.doc['size'] || !(@.doc.a.b > 1)) && @.doc.city == 'x'";
        let condition = Condition::compile(expression).expect("compiles");
        let found = condition.numbers(expression);
        let names: Vec<&str> = found
            .iter()
            .map(|(_, span)| &expression[span.clone()])
            .collect();
        assert_eq!(names, ["age", "size"]);
    }

    #[test]
    fn hostile_expressions_and_docs_are_bounded() {
        assert!(Condition::compile(&"count($[?".repeat(40)).is_err());
        assert!(Condition::compile(&"a".repeat(MAX_EXPRESSION + 1)).is_err());
        let wide: Value = (0..2000).map(|n| json!({"a": n})).collect();
        let condition = Condition::compile("@.x[?count($..a) > 1]").expect("compiles");
        assert_eq!(
            condition.holds(&json!({"x": wide}), &[], Room::new(MATCHED)),
            Err(TooMuch::Nodes)
        );
        let long = json!({"x": vec![1; 5000], "y": "a".repeat(1 << 20), "z": vec![1; 5000]});
        for expression in [
            "@.x[?search($.y, 'b$')]",
            "@.x[?length($.y) == 1]",
            "@.x[?$.y == 'a']",
            "@.x[?$.z == $.x && @ == 2]",
        ] {
            let condition = Condition::compile(expression).expect("compiles");
            let vast = Room::new(usize::MAX);
            assert_eq!(
                condition.holds(&long, &[], vast),
                Err(TooMuch::Nodes),
                "{expression}"
            );
        }
        // Each pattern has a bound of its own, over all values that it is asked about.
        let texts = json!({"x": vec!["a".repeat(10_000); 7]});
        let condition = Condition::compile("search(@.x, 'b$')").expect("compiles");
        let room = |bytes| condition.holds(&texts, &[], Room::new(bytes));
        assert_eq!(room(70_000), Ok(false));
        assert_eq!(room(MATCHED), Err(TooMuch::Text(TooLong)));
        let text = json!({"x": "a".repeat(40_000)});
        let several = Condition::compile("search(@.x, 'b$') || search(@.x, 'c$')");
        let several = several.expect("compiles");
        assert_eq!(several.holds(&text, &[], Room::new(MATCHED)), Ok(false));
    }

    /// Whatever is asked of each of many elements about each of many others is counted, by every kind of selector.
    #[test]
    fn work_that_grows_with_the_square_is_given_up() {
        // As many values as a submission may have.
        let many: Vec<i32> = (0..10_000).collect();
        let object: serde_json::Map<_, _> =
            many.iter().map(|n| (n.to_string(), json!(n))).collect();
        let call = json!({"x": many, "y": many, "z": object});
        for selector in [
            "$.y[*]",
            "$.z[*]",
            "$..[0]",
            "$.y[?@ > 1]",
            "$.z[?@ > 1]",
            "$.y[0:]",
            "$.y[::-1]",
            "$.y[::2]",
            "$.y[9000:]",
            "$.y[0,0,0,0,0,0,0,0,0,0,0,0]",
        ] {
            let expression = format!("@.x[?count({selector}) == 0]");
            let condition = Condition::compile(&expression).expect("compiles");
            assert_eq!(
                condition.holds(&call, &[], Room::new(MATCHED)),
                Err(TooMuch::Nodes),
                "{expression}"
            );
        }
        // Once over all of them is no more than they are.
        for expression in ["count(@.y[*]) == 10000", "count(@.y[::1]) == 10000"] {
            let condition = Condition::compile(expression).expect("compiles");
            assert_eq!(
                condition.holds(&call, &[], Room::new(MATCHED)),
                Ok(true),
                "{expression}"
            );
        }
        // A selector that takes the same again and again: what is found is never more than what is counted.
        let again = format!("$.y[{}0]", "::1,".repeat(900));
        let path = Path::compile(&again).expect("compiles");
        assert!(path.locate(&call).is_err());
    }

    #[test]
    fn paths_locate_values() {
        let root = json!({"a": [{"b": 1}, {"b": 2}, {"b": 3}]});
        let located = |path: &str| {
            let path = Path::compile(path).expect("compiles");
            path.locate(&root)
                .expect("small")
                .into_iter()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(located("$.a[*].b"), [json!(1), json!(2), json!(3)]);
        assert_eq!(located("$.a[0:2].b"), [json!(1), json!(2)]);
        assert_eq!(located("$.a[::-1].b"), [json!(3), json!(2), json!(1)]);
        assert_eq!(located("$..b"), [json!(1), json!(2), json!(3)]);
        assert_eq!(
            Path::compile("$.a.b").expect("compiles").names(),
            Some(vec!["a", "b"])
        );
        assert_eq!(Path::compile("$.a[*]").expect("compiles").names(), None);
        assert!(Path::compile("a.b").is_err());
    }
}
