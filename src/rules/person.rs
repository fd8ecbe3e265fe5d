//! `[user_info]`: where what hooks are told about the person comes from. Owns reading the table; looking the
//! values up in a request is left to `flow`.

use std::fmt;

use crate::source::table::Table;
use crate::source::table::to_json;

/// Where one value of `user_info` comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserSource {
    /// A request header, in lower case.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// A field of the form.
    Field(String),
    /// A parameter of the route.
    Param(String),
    /// A claim of a verified JWT, with dots between its parts.
    Jwt(String),
}

impl UserSource {
    fn parse(text: &str) -> Result<Self, String> {
        let wanted = "write for example \"header:x-user-id\", \"cookie:uid\", \"field:email\", \"param:camp\" or \"jwt:sub\"";
        let (kind, name) = text
            .split_once(':')
            .ok_or_else(|| format!("`{text}` does not say where from; {wanted}"))?;
        if name.is_empty() {
            return Err(format!("`{text}` has no name after its colon; {wanted}"));
        }
        match kind {
            "header" => Ok(Self::Header(name.to_ascii_lowercase())),
            "cookie" => Ok(Self::Cookie(name.to_owned())),
            "field" => Ok(Self::Field(name.to_owned())),
            "param" => Ok(Self::Param(name.to_owned())),
            "jwt" => Ok(Self::Jwt(name.to_owned())),
            other => Err(format!("`{other}:` is not a place to look; {wanted}")),
        }
    }
}

impl fmt::Display for UserSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Field(name) => write!(f, "field:{name}"),
            Self::Param(name) => write!(f, "param:{name}"),
            Self::Jwt(name) => write!(f, "jwt:{name}"),
        }
    }
}

/// Reads `[user_info]`: key and source, in the order written.
#[must_use]
pub fn read(table: &Table<'_>) -> Vec<(String, UserSource)> {
    let mut sources = Vec::new();
    for (key, value) in table.entries() {
        let text = to_json(value.get_ref());
        match text
            .as_str()
            .ok_or("must be a text; write for example \"header:x-user-id\"".to_owned())
            .and_then(UserSource::parse)
        {
            Ok(source) => sources.push((key.value, source)),
            Err(why) => table.page().complain(
                value.span(),
                format!("`{}` in [user_info]: {why}", key.value),
                "",
            ),
        }
    }
    sources
}
