//! Where in the page the parser is, as far as it matters for forms: the base of URLs, the form that is open, templates,
//! disabled fieldsets. Owns finding the form that is ours, and which controls belong to it.
//!
//! What a browser makes of bad nesting is followed where it matters: a form within a form does not count, and one that
//! was left open by the end of an element around it goes on. A control before its form (`form="its id"`) cannot be
//! known in one pass; it is left as it is.

use lol_html::element;
use lol_html::send::Element;
use lol_html::send::Settings;
use url::Url;

use crate::page::attributes;
use crate::page::change::FormTag;
use crate::page::change::IsOurs;
use crate::page::shared::Shared;

const HTML: &str = "http://www.w3.org/1999/xhtml";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    No,
    Other,
    Ours,
}

/// Which form is looked for.
enum Seeks {
    First(IsOurs),
    Nth(Option<usize>),
}

#[derive(Debug)]
struct Fieldset {
    disabled: bool,
    /// The first legend of a disabled fieldset is not disabled.
    legends: u32,
    in_first_legend: bool,
}

/// Where the parser is.
pub(in crate::page) struct Walk {
    page: Url,
    base: Option<Url>,
    seeks: Seeks,
    /// Forms that were entered.
    forms: usize,
    open: Open,
    /// An element around the open form has ended, so its own end tag will not be seen.
    orphaned: bool,
    found: bool,
    id: Option<String>,
    templates: u32,
    fieldsets: Vec<Fieldset>,
}

/// Whoever only follows where the parser is.
pub(in crate::page) trait Follows: Send + 'static {
    fn walk(&mut self) -> &mut Walk;
}

/// Follows everything around forms and controls.
pub(in crate::page) fn follow<F: Follows>(
    settings: Settings<'static, 'static>,
    shared: &Shared<F>,
) -> Settings<'static, 'static> {
    settings
        .append_element_content_handler(element!(
            "base",
            shared.handler(|it, element, _| it.walk().base(element))
        ))
        .append_element_content_handler(element!(
            "template",
            shared.handler(|it, element, shared| {
                if it.walk().template(element) {
                    shared.at_end(element, |it, _| it.walk().template_end());
                }
            })
        ))
        .append_element_content_handler(element!(
            "fieldset",
            shared.handler(|it, element, shared| {
                if it.walk().counts(element) {
                    it.walk().fieldset(element);
                    shared.at_end(element, |it, _| it.walk().fieldset_end());
                }
            })
        ))
        .append_element_content_handler(element!(
            "legend",
            shared.handler(|it, element, shared| {
                if it.walk().counts(element) {
                    it.walk().legend();
                    shared.at_end(element, |it, _| it.walk().legend_end());
                }
            })
        ))
}

impl Walk {
    /// Looks for the first form that is ours.
    pub(in crate::page) fn new(page: Url, is_ours: IsOurs) -> Self {
        Self {
            seeks: Seeks::First(is_ours),
            ..Self::counting(page)
        }
    }

    /// Looks for no form, until it is said which it [is](Self::seek).
    pub(in crate::page) const fn counting(page: Url) -> Self {
        Self {
            page,
            base: None,
            seeks: Seeks::Nth(None),
            forms: 0,
            open: Open::No,
            orphaned: false,
            found: false,
            id: None,
            templates: 0,
            fieldsets: Vec::new(),
        }
    }

    /// The form is the one with this number, counted from one.
    pub(in crate::page) fn seek(&mut self, form: Option<usize>) {
        self.seeks = Seeks::Nth(form);
    }

    /// Whether an element is part of the page: not of a template, nor of a drawing.
    pub(in crate::page) fn counts(&self, element: &Element<'_, '_>) -> bool {
        self.templates == 0 && element.namespace_uri() == HTML
    }

    /// Whether the page's links are relative to another page.
    pub(in crate::page) const fn has_base(&self) -> bool {
        self.base.is_some()
    }

    pub(in crate::page) fn base(&mut self, element: &Element<'_, '_>) {
        if self.counts(element)
            && self.base.is_none()
            && let Some(href) = attributes::get(element, "href")
        {
            self.base = self.page.join(href.trim()).ok();
        }
    }

    /// Whether it is a template, whose content is no part of the page: then its end must be said, too.
    pub(in crate::page) fn template(&mut self, element: &Element<'_, '_>) -> bool {
        let is_template = element.namespace_uri() == HTML;
        self.templates += u32::from(is_template);
        is_template
    }

    pub(in crate::page) const fn template_end(&mut self) {
        self.templates = self.templates.saturating_sub(1);
    }

    /// Whether this start tag opens the form that is ours.
    pub(in crate::page) fn form(&mut self, element: &Element<'_, '_>) -> bool {
        let Some(tag) = self.enters(element) else {
            return false;
        };
        let is_it = !self.found
            && match &self.seeks {
                Seeks::First(is_ours) => tag.is_sent() && is_ours(&tag),
                Seeks::Nth(form) => *form == Some(self.forms),
            };
        if is_it {
            self.found = true;
            self.id = tag.id;
            self.open = Open::Ours;
        }
        is_it
    }

    /// The form that this start tag opens; none within another.
    pub(in crate::page) fn enters(&mut self, element: &Element<'_, '_>) -> Option<FormTag> {
        if self.open != Open::No && !self.orphaned {
            return None;
        }
        self.orphaned = false;
        self.open = Open::Other;
        self.forms += 1;
        Some(self.form_tag(element))
    }

    /// The open form has ended by an end tag of this name. Whether it was ours and has ended for good.
    pub(in crate::page) fn form_end(&mut self, end_tag: &str) -> bool {
        if end_tag != "form" {
            self.orphaned = true;
            return false;
        }
        let was = std::mem::replace(&mut self.open, Open::No);
        was == Open::Ours
    }

    /// The id of the form that is ours, once it has been found.
    pub(in crate::page) fn form_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether the form that is ours has been found.
    pub(in crate::page) const fn found(&self) -> bool {
        self.found
    }

    /// Whether this control belongs to the form that is ours.
    pub(in crate::page) fn owns(&self, element: &Element<'_, '_>) -> bool {
        if !self.found || !self.counts(element) {
            return false;
        }
        match attributes::get(element, "form") {
            Some(id) => self.form_id() == Some(id.as_str()),
            None => self.open == Open::Ours,
        }
    }

    pub(in crate::page) fn fieldset(&mut self, element: &Element<'_, '_>) {
        self.fieldsets.push(Fieldset {
            disabled: element.has_attribute("disabled"),
            legends: 0,
            in_first_legend: false,
        });
    }

    pub(in crate::page) fn fieldset_end(&mut self) {
        self.fieldsets.pop();
    }

    pub(in crate::page) fn legend(&mut self) {
        if let Some(fieldset) = self.fieldsets.last_mut() {
            fieldset.legends += 1;
            fieldset.in_first_legend = fieldset.legends == 1;
        }
    }

    pub(in crate::page) fn legend_end(&mut self) {
        if let Some(fieldset) = self.fieldsets.last_mut() {
            fieldset.in_first_legend = false;
        }
    }

    /// Whether a control is disabled by itself or by a fieldset around it.
    pub(in crate::page) fn disables(&self, element: &Element<'_, '_>) -> bool {
        let mut fieldsets = self.fieldsets.iter();
        element.has_attribute("disabled")
            || fieldsets.any(|fieldset| fieldset.disabled && !fieldset.in_first_legend)
    }

    fn form_tag(&self, element: &Element<'_, '_>) -> FormTag {
        let action = attributes::get(element, "action").unwrap_or_default();
        let action = match action.trim() {
            "" => self.page.clone(),
            action => {
                let base = self.base.as_ref().unwrap_or(&self.page);
                base.join(action).unwrap_or_else(|_| self.page.clone())
            }
        };
        let method = attributes::get(element, "method").unwrap_or_default();
        let method = match method.trim().to_ascii_uppercase() {
            method if method == "POST" || method == "DIALOG" => method,
            _ => "GET".to_owned(),
        };
        FormTag {
            method,
            action,
            id: attributes::get(element, "id").filter(|id| !id.is_empty()),
        }
    }
}
