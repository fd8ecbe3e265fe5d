//! The languages that the gateway speaks by itself. Owns the choice among them by `accept-language`; the texts are
//! left to [`crate::model::words`].

use std::fmt;

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Lang {
    /// English, which is spoken to whoever asks for nothing else.
    #[default]
    En,
    /// German.
    De,
    /// French.
    Fr,
    /// Spanish.
    Es,
}

impl Lang {
    /// Every language, the default first.
    pub const ALL: [Self; 4] = [Self::En, Self::De, Self::Fr, Self::Es];

    /// The language's tag, for `lang` and `content-language`.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Es => "es",
        }
    }

    /// The language that suits the lines of `accept-language` best: the one wanted most, of those wanted alike the
    /// first. What cannot be read in them counts for nothing.
    #[must_use]
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut best: Option<(Self, f32)> = None;
        let mut named = [false; Self::ALL.len()];
        let mut others = 0.0;
        for range in lines.into_iter().flat_map(|line| line.split(',')) {
            let Some((tag, weight)) = read_range(range) else {
                continue;
            };
            let is_best = best.is_none_or(|(_, most)| weight > most);
            match Self::named(tag) {
                // Nothing that follows can be wanted more.
                Some(lang) if weight >= 1.0 && is_best => return lang,
                Some(lang) => {
                    named[lang as usize] = true;
                    if weight > 0.0 && is_best {
                        best = Some((lang, weight));
                    }
                }
                None if tag == "*" => others = weight,
                None => {}
            }
        }
        let other = Self::ALL.into_iter().find(|lang| !named[*lang as usize]);
        match (best, other) {
            (Some((lang, weight)), _) if weight >= others => lang,
            (_, Some(other)) if others > 0.0 => other,
            (best, _) => best.map_or(Self::default(), |(lang, _)| lang),
        }
    }

    /// The language of a tag such as `de`, `de-CH` or `DE_at`.
    #[must_use]
    pub fn named(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        let mut all = Self::ALL.into_iter();
        all.find(|lang| lang.tag().eq_ignore_ascii_case(primary))
    }
}

impl fmt::Display for Lang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

/// A range and how much it is wanted, from 0 to 1; `None` if that cannot be read.
fn read_range(range: &str) -> Option<(&str, f32)> {
    let Some((tag, weight)) = range.split_once(';') else {
        return Some((range.trim(), 1.0));
    };
    let (name, weight) = weight.split_once('=')?;
    let weight: f32 = weight.trim().parse().ok()?;
    let good = name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&weight);
    good.then_some((tag.trim(), weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_language_decides() {
        for (lines, lang) in [
            (&[] as &[&str], Lang::En),
            (&[""], Lang::En),
            (&["de"], Lang::De),
            (&["de-CH,de;q=0.9,en;q=0.8"], Lang::De),
            (&["DE-ch-1996"], Lang::De),
            (&["fr-CA"], Lang::Fr),
            (&["es-419, es;q=0.9"], Lang::Es),
            (&["en;q=0.5, fr;q=0.9 , de;q=0.8"], Lang::Fr),
            (&["de;q=0.5, fr;q=0.5"], Lang::De),
            (&["it, pt;q=0.9, es;q=0.1"], Lang::Es),
            (&["it"], Lang::En),
            (&["it", "fr;q=0.2"], Lang::Fr),
            (&["*"], Lang::En),
            (&["*, de;q=0.5"], Lang::En),
            (&["*;q=0.1, de;q=0.5"], Lang::De),
            (&["*, en;q=0"], Lang::De),
            (&["en;q=0, de;q=0, *"], Lang::Fr),
            (&["de;q=0"], Lang::En),
            (&["de;q=0, *;q=0"], Lang::En),
            (&["de;q=1.000;x=1"], Lang::En),
            (&["de;q=two, fr"], Lang::Fr),
            (&["de;q=2, fr;q=0.1"], Lang::Fr),
            (&["de;q=-1, es;q=0.1"], Lang::Es),
            (&["de;q=NaN, es;q=0.1"], Lang::Es),
            (&["de ; Q = 0.9, es;q=0.1"], Lang::De),
            (&[",;,=,;q=,es"], Lang::Es),
            (&["deutsch"], Lang::En),
            (&["ça, été"], Lang::En),
        ] {
            assert_eq!(Lang::of(lines.iter().copied()), lang, "{lines:?}");
        }
    }

    #[test]
    fn tags_name_their_language() {
        for (number, lang) in Lang::ALL.into_iter().enumerate() {
            assert_eq!(Lang::named(lang.tag()), Some(lang));
            assert_eq!(lang as usize, number);
        }
        assert_eq!(Lang::named("e"), None);
        assert_eq!(Lang::named(""), None);
    }
}
