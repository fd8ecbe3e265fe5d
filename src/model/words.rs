//! Every sentence the gateway says to a person by itself, in every language it speaks. Owns the wording: what
//! happened, whether anything was saved, what to do next – and never a parser's or a server's words; and the texts
//! that a site says instead.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::model::lang::Lang;
use crate::model::template::Template;

macro_rules! words {
    ($($(#[doc = $doc:literal])+ $name:ident = $key:literal $([$($slot:literal),+])? {
        $en:literal $de:literal $fr:literal $es:literal
    })+) => {
        /// One text of the gateway's own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Word {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Word {
            /// Every text.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            const fn entry(self) -> Entry {
                match self {
                    $(Self::$name => Entry {
                        key: $key,
                        slots: &[$($($slot),+)?],
                        texts: [$en, $de, $fr, $es],
                    },)+
                }
            }
        }
    };
}

words! {
    /// The title of a stopped form.
    NotAccepted = "not_accepted" {
        "The form was not accepted"
        "Das Formular wurde nicht angenommen"
        "Le formulaire n’a pas été accepté"
        "El formulario no se ha aceptado"
    }
    /// The title of an accepted form that has something to say.
    Accepted = "accepted" {
        "The form was submitted"
        "Das Formular wurde übermittelt"
        "Le formulaire a été transmis"
        "El formulario se ha enviado"
    }
    /// The title of a redirect.
    Elsewhere = "elsewhere" {
        "Please go on elsewhere"
        "Bitte fahren Sie auf einer anderen Seite fort"
        "Veuillez continuer sur une autre page"
        "Continúe en otra página"
    }
    /// The title when a hook could not be asked.
    Unavailable = "unavailable" {
        "The form cannot be checked right now"
        "Das Formular kann gerade nicht geprüft werden"
        "Le formulaire ne peut pas être vérifié pour le moment"
        "El formulario no se puede comprobar en este momento"
    }
    /// The title of a request that is no good.
    Rejected = "rejected" {
        "The request could not be read"
        "Die Anfrage konnte nicht gelesen werden"
        "La demande n’a pas pu être lue"
        "No se ha podido leer la solicitud"
    }
    /// The title when the backend gave no answer.
    BackendFailed = "backend_failed" {
        "The site did not answer"
        "Die Website hat nicht geantwortet"
        "Le site n’a pas répondu"
        "El sitio no ha respondido"
    }
    /// The title of an error that is the gateway's own.
    Broken = "broken" {
        "Something went wrong here"
        "Hier ist etwas schiefgegangen"
        "Une erreur s’est produite ici"
        "Se ha producido un error aquí"
    }

    /// The title where too much is under way.
    Busy = "busy" {
        "The site is busy"
        "Die Website ist ausgelastet"
        "Le site est surchargé"
        "El sitio está saturado"
    }

    /// Too much is under way.
    Crowded = "crowded" {
        "Too many requests are under way just now. Please try again in a moment."
        "Gerade sind zu viele Anfragen in Arbeit. Bitte versuchen Sie es gleich noch einmal."
        "Trop de demandes sont en cours. Veuillez réessayer dans un instant."
        "Hay demasiadas solicitudes en curso. Vuelva a intentarlo dentro de un momento."
    }
    /// A hook that must be asked could not be.
    CheckFailed = "check_failed" {
        "The form could not be checked just now. Please try again in a moment."
        "Das Formular konnte gerade nicht geprüft werden. Bitte versuchen Sie es gleich noch einmal."
        "Le formulaire n’a pas pu être vérifié. Veuillez réessayer dans un instant."
        "No se ha podido comprobar el formulario. Vuelva a intentarlo dentro de un momento."
    }
    /// A local rule replied something that cannot be used.
    RuleFailed = "rule_failed" {
        "The form could not be checked. Please tell the people who run this site."
        "Das Formular konnte nicht geprüft werden. Bitte wenden Sie sich an die Betreiber dieser Website."
        "Le formulaire n’a pas pu être vérifié. Veuillez prévenir les responsables de ce site."
        "No se ha podido comprobar el formulario. Avise a los responsables de este sitio."
    }
    /// The backend could not be reached.
    Unreachable = "unreachable" {
        "The site cannot be reached just now. Please try again in a moment."
        "Die Website ist gerade nicht erreichbar. Bitte versuchen Sie es gleich noch einmal."
        "Le site est injoignable pour le moment. Veuillez réessayer dans un instant."
        "No se puede acceder al sitio en este momento. Vuelva a intentarlo dentro de un momento."
    }
    /// The backend took too long.
    TooSlow = "too_slow" {
        "The site took too long to answer."
        "Die Website hat zu lange für ihre Antwort gebraucht."
        "Le site a mis trop de temps à répondre."
        "El sitio ha tardado demasiado en responder."
    }
    /// The backend broke off.
    BrokeOff = "broke_off" {
        "The site's answer broke off."
        "Die Antwort der Website ist abgebrochen."
        "La réponse du site s’est interrompue."
        "La respuesta del sitio se ha interrumpido."
    }
    /// An error that is the gateway's own.
    OurFault = "our_fault" {
        "The request could not be finished because of an error on our side."
        "Die Anfrage konnte wegen eines Fehlers auf unserer Seite nicht abgeschlossen werden."
        "La demande n’a pas pu aboutir en raison d’une erreur de notre côté."
        "No se ha podido completar la solicitud por un error nuestro."
    }

    /// 400 and 411: the request cannot be read.
    Unreadable = "unreadable" {
        "What was sent cannot be read. Please go back, reload the page and try again."
        "Die gesendeten Daten sind nicht lesbar. Bitte gehen Sie zurück, laden Sie die Seite neu und versuchen Sie es noch einmal."
        "Ce qui a été envoyé est illisible. Veuillez revenir en arrière, recharger la page et réessayer."
        "No se puede leer lo que se ha enviado. Vuelva atrás, recargue la página e inténtelo de nuevo."
    }
    /// 408: the request did not come in time.
    Late = "late" {
        "What you sent did not arrive in time. Please check your connection and try again."
        "Ihre Daten sind nicht rechtzeitig angekommen. Bitte prüfen Sie Ihre Verbindung und versuchen Sie es noch einmal."
        "Votre envoi n’est pas arrivé à temps. Veuillez vérifier votre connexion et réessayer."
        "Su envío no ha llegado a tiempo. Compruebe su conexión y vuelva a intentarlo."
    }
    /// 413: the request is over a limit.
    TooLarge = "too_large" {
        "What you sent is too large. Please send less, for example smaller files."
        "Die gesendeten Daten sind zu umfangreich. Bitte senden Sie weniger, zum Beispiel kleinere Dateien."
        "Votre envoi est trop volumineux. Veuillez en envoyer moins, par exemple des fichiers plus petits."
        "Su envío es demasiado grande. Envíe menos, por ejemplo archivos más pequeños."
    }
    /// 414: the target is over a limit.
    AddressTooLong = "address_too_long" {
        "The address is too long. Please go back and enter less."
        "Die Adresse ist zu lang. Bitte gehen Sie zurück und geben Sie weniger ein."
        "L’adresse est trop longue. Veuillez revenir en arrière et raccourcir votre saisie."
        "La dirección es demasiado larga. Vuelva atrás y escriba menos."
    }
    /// 415: the body is of a type that cannot be read.
    Unsupported = "unsupported" {
        "The form was sent in a format that cannot be read here. Please tell the people who run this site."
        "Das Formular wurde in einem Format gesendet, das hier nicht lesbar ist. Bitte wenden Sie sich an die Betreiber dieser Website."
        "Le formulaire a été envoyé dans un format qui n’est pas pris en charge ici. Veuillez prévenir les responsables de ce site."
        "El formulario se ha enviado en un formato que aquí no se puede leer. Avise a los responsables de este sitio."
    }
    /// 421: a form's route on a host that nobody named.
    Misdirected = "misdirected" {
        "This form is not served at this address. Please tell the people who run this site."
        "Dieses Formular gibt es unter dieser Adresse nicht. Bitte wenden Sie sich an die Betreiber dieser Website."
        "Ce formulaire n’est pas disponible à cette adresse. Veuillez prévenir les responsables de ce site."
        "Este formulario no está disponible en esta dirección. Avise a los responsables de este sitio."
    }
    /// 431: the header is over a limit; most often cookies are why.
    HeaderTooLarge = "header_too_large" {
        "Your browser sent too much beside the request. Please delete the cookies of this site and try again."
        "Ihr Browser hat zu viele Zusatzdaten gesendet. Bitte löschen Sie die Cookies dieser Website und versuchen Sie es noch einmal."
        "Votre navigateur a envoyé trop de données annexes. Veuillez supprimer les cookies de ce site et réessayer."
        "Su navegador ha enviado demasiados datos adicionales. Borre las cookies de este sitio y vuelva a intentarlo."
    }

    /// Nothing reached the backend.
    NothingSaved = "nothing_saved" {
        "Nothing was submitted."
        "Es wurde nichts übermittelt."
        "Rien n’a été transmis."
        "No se ha enviado nada."
    }
    /// The backend may or may not have taken it.
    MaybeSaved = "maybe_saved" {
        "It is not known whether the form was submitted. Please check before you send it again."
        "Es ist nicht bekannt, ob das Formular übermittelt wurde. Bitte prüfen Sie das, bevor Sie es noch einmal senden."
        "On ne sait pas si le formulaire a été transmis. Veuillez vérifier avant de l’envoyer à nouveau."
        "No se sabe si el formulario se ha enviado. Compruébelo antes de volver a enviarlo."
    }
    /// The backend has taken it.
    Saved = "saved" {
        "The form was submitted."
        "Das Formular wurde übermittelt."
        "Le formulaire a été transmis."
        "El formulario se ha enviado."
    }
    /// Above errors of fields, where nothing else is said.
    CorrectFields = "correct_fields" {
        "Please correct these fields."
        "Bitte korrigieren Sie diese Felder."
        "Veuillez corriger ces champs."
        "Corrija estos campos."
    }
    /// Beside a file input, which no page can fill in.
    ChooseFileAgain = "choose_file_again" {
        "Please choose the file again."
        "Bitte wählen Sie die Datei noch einmal aus."
        "Veuillez choisir à nouveau le fichier."
        "Vuelva a elegir el archivo."
    }
    /// Beside a field whose value is never put into a page.
    EnterAgain = "enter_again" {
        "Please enter this again."
        "Bitte geben Sie das noch einmal ein."
        "Veuillez saisir ceci à nouveau."
        "Vuelva a introducir este dato."
    }
    /// A field that was changed, and to what.
    FieldChanged = "field_changed" ["field", "value"] {
        "{field} was changed to {value}."
        "„{field}“ wurde in „{value}“ geändert."
        "Le champ «\u{a0}{field}\u{a0}» a été modifié\u{a0}: {value}."
        "«{field}» se ha cambiado a «{value}»."
    }
    /// A field whose value was taken away.
    FieldEmptied = "field_emptied" ["field"] {
        "{field} was emptied."
        "„{field}“ wurde geleert."
        "Le champ «\u{a0}{field}\u{a0}» a été vidé."
        "«{field}» se ha vaciado."
    }
    /// A value that is offered for a field, on a button.
    UseValue = "use_value" ["value"] {
        "Use {value}"
        "{value} übernehmen"
        "Utiliser {value}"
        "Usar {value}"
    }

    /// The way back, on a page that stands for itself.
    GoBack = "go_back" {
        "Go back to the form"
        "Zurück zum Formular"
        "Revenir au formulaire"
        "Volver al formulario"
    }
    /// Above what the person typed.
    Entered = "entered" {
        "What you entered"
        "Ihre Eingaben"
        "Ce que vous avez saisi"
        "Lo que ha introducido"
    }
    /// The request's id, for whoever is asked for help.
    Reference = "reference" ["id"] {
        "Reference: {id}"
        "Referenz: {id}"
        "Référence\u{a0}: {id}"
        "Referencia: {id}"
    }

    /// `required`.
    Missing = "missing" {
        "Fill in this field."
        "Bitte füllen Sie dieses Feld aus."
        "Veuillez remplir ce champ."
        "Rellene este campo."
    }
    /// `required`, of a file.
    MissingFile = "missing_file" {
        "Choose a file."
        "Bitte wählen Sie eine Datei aus."
        "Veuillez choisir un fichier."
        "Elija un archivo."
    }
    /// Several values where one is expected.
    TooManyValues = "too_many_values" {
        "Give one value."
        "Bitte geben Sie nur einen Wert an."
        "Veuillez indiquer une seule valeur."
        "Indique un solo valor."
    }
    /// A file where a text is expected.
    NoFile = "no_file" {
        "This field takes no file."
        "Dieses Feld nimmt keine Datei an."
        "Ce champ n’accepte pas de fichier."
        "Este campo no admite archivos."
    }
    /// Neither a text nor anything like one.
    NoValue = "no_value" {
        "This is not a value for this field."
        "Dieser Wert passt nicht in dieses Feld."
        "Cette valeur ne convient pas à ce champ."
        "Este valor no es válido para este campo."
    }
    /// `minlength`.
    TooShort = "too_short" ["minlength", "length"] {
        "Use at least {minlength} characters (so far: {length})."
        "Bitte geben Sie mindestens {minlength} Zeichen ein (bisher: {length})."
        "Veuillez saisir au moins {minlength} caractères (actuellement\u{a0}: {length})."
        "Escriba al menos {minlength} caracteres (ahora: {length})."
    }
    /// `maxlength`.
    TooLong = "too_long" ["maxlength", "length"] {
        "Shorten this: it has {length} characters, and the limit is {maxlength}."
        "Bitte kürzen Sie den Text: Es sind {length} Zeichen, erlaubt sind höchstens {maxlength}."
        "Veuillez raccourcir ce texte\u{a0}: il compte {length} caractères, le maximum est de {maxlength}."
        "Acorte el texto: tiene {length} caracteres y el máximo es {maxlength}."
    }
    /// `pattern`, of more text than it is put to.
    TooMuchText = "too_much_text" {
        "This text is too long to be checked. Please shorten it."
        "Dieser Text ist zu lang, um geprüft zu werden. Bitte kürzen Sie ihn."
        "Ce texte est trop long pour être vérifié. Veuillez le raccourcir."
        "Este texto es demasiado largo para comprobarlo. Acórtelo."
    }
    /// `pattern`.
    WrongPattern = "wrong_pattern" ["pattern"] {
        "This does not have the expected format."
        "Die Eingabe hat nicht das erwartete Format."
        "Veuillez respecter le format demandé."
        "Respete el formato solicitado."
    }
    /// `type = "integer"`.
    NoInteger = "no_integer" {
        "Enter a whole number."
        "Bitte geben Sie eine ganze Zahl ein."
        "Veuillez saisir un nombre entier."
        "Introduzca un número entero."
    }
    /// `type = "number"`.
    NoNumber = "no_number" {
        "Enter a number, such as 12.5."
        "Bitte geben Sie eine Zahl ein, zum Beispiel 12.5 (mit Punkt)."
        "Veuillez saisir un nombre, par exemple 12.5 (avec un point)."
        "Introduzca un número, por ejemplo 12.5 (con punto)."
    }
    /// `type = "boolean"`.
    NoBoolean = "no_boolean" {
        "Choose yes or no."
        "Bitte wählen Sie Ja oder Nein."
        "Veuillez choisir oui ou non."
        "Elija sí o no."
    }
    /// `type = "date"`.
    NoDate = "no_date" {
        "Enter a date as year-month-day, for example 2026-11-20."
        "Bitte geben Sie ein Datum als Jahr-Monat-Tag ein, zum Beispiel 2026-11-20."
        "Veuillez saisir une date sous la forme année-mois-jour, par exemple 2026-11-20."
        "Introduzca una fecha como año-mes-día, por ejemplo 2026-11-20."
    }
    /// `type = "email"`.
    NoEmail = "no_email" {
        "Enter an e-mail address, such as name@example.org."
        "Bitte geben Sie eine E-Mail-Adresse ein, zum Beispiel name@example.org."
        "Veuillez saisir une adresse e-mail, par exemple nom@example.org."
        "Introduzca una dirección de correo, por ejemplo nombre@example.org."
    }
    /// `type = "url"`.
    NoUrl = "no_url" {
        "Enter a complete web address, such as https://example.org."
        "Bitte geben Sie eine vollständige Webadresse ein, zum Beispiel https://example.org."
        "Veuillez saisir une adresse web complète, par exemple https://example.org."
        "Introduzca una dirección web completa, por ejemplo https://example.org."
    }
    /// `min`, of a number.
    TooLow = "too_low" ["min"] {
        "This must be {min} or more."
        "Der Wert muss mindestens {min} sein."
        "La valeur doit être supérieure ou égale à {min}."
        "El valor debe ser {min} o más."
    }
    /// `max`, of a number.
    TooHigh = "too_high" ["max"] {
        "This must be {max} or less."
        "Der Wert darf höchstens {max} sein."
        "La valeur doit être inférieure ou égale à {max}."
        "El valor debe ser {max} o menos."
    }
    /// `min`, of a date.
    TooEarly = "too_early" ["min"] {
        "This must be {min} or later."
        "Das Datum darf nicht vor dem {min} liegen."
        "La date ne doit pas être antérieure au {min}."
        "La fecha no puede ser anterior al {min}."
    }
    /// `max`, of a date.
    TooLate = "too_late" ["max"] {
        "This must be {max} or earlier."
        "Das Datum darf nicht nach dem {max} liegen."
        "La date ne doit pas être postérieure au {max}."
        "La fecha no puede ser posterior al {max}."
    }
    /// `step`.
    OffStep = "off_step" ["step"] {
        "This must go in steps of {step}."
        "Erlaubt sind nur Werte in Schritten von {step}."
        "Seules les valeurs par pas de {step} sont acceptées."
        "Solo se admiten valores de {step} en {step}."
    }
    /// `min`, of a list.
    TooFew = "too_few" ["min"] {
        "Choose at least {min}."
        "Bitte wählen Sie mindestens {min} aus."
        "Veuillez en choisir au moins {min}."
        "Elija al menos {min}."
    }
    /// `max`, of a list.
    TooMany = "too_many" ["max"] {
        "Choose at most {max}."
        "Bitte wählen Sie höchstens {max} aus."
        "Veuillez en choisir au plus {max}."
        "Elija como máximo {max}."
    }
    /// `accept`.
    WrongFile = "wrong_file" ["accept"] {
        "Choose a file of one of these kinds: {accept}."
        "Bitte wählen Sie eine Datei eines dieser Typen aus: {accept}."
        "Veuillez choisir un fichier de l’un de ces types\u{a0}: {accept}."
        "Elija un archivo de uno de estos tipos: {accept}."
    }
    /// `maxsize`.
    FileTooLarge = "file_too_large" ["maxsize"] {
        "Choose a smaller file; it may have at most {maxsize}."
        "Bitte wählen Sie eine kleinere Datei aus; erlaubt sind höchstens {maxsize}."
        "Veuillez choisir un fichier plus petit\u{a0}; le maximum est de {maxsize}."
        "Elija un archivo más pequeño; el máximo es {maxsize}."
    }
}

/// A text in every language, in their order, and how rule files name it.
struct Entry {
    key: &'static str,
    slots: &'static [&'static str],
    texts: [&'static str; Lang::ALL.len()],
}

impl Word {
    /// Its name in rule files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        self.entry().key
    }

    /// What is filled in: `min` for `{min}`.
    #[must_use]
    pub const fn slots(self) -> &'static [&'static str] {
        self.entry().slots
    }

    /// The text as it comes with the gateway, its slots open.
    #[must_use]
    pub const fn text(self, lang: Lang) -> &'static str {
        self.entry().texts[lang as usize]
    }
}

/// The texts that are said instead of the gateway's own, and the languages it is to speak.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    texts: BTreeMap<(Word, Lang), Template>,
    /// The first is for whoever wants none of them; all languages, if it is empty.
    languages: Vec<Lang>,
}

/// Nothing is said in another way.
static AS_THEY_ARE: Words = Words {
    texts: BTreeMap::new(),
    languages: Vec::new(),
};

impl Words {
    /// Says `template` instead. Its slots are some of the word's.
    pub fn replace(&mut self, word: Word, lang: Lang, template: Template) {
        self.texts.insert((word, lang), template);
    }

    /// Speaks these languages alone, the first to whoever wants none of them.
    pub fn speak(&mut self, languages: Vec<Lang>) {
        self.languages = languages;
    }

    /// Takes what `base` says where nothing is said here.
    pub fn fall_back_on(&mut self, base: &Self) {
        for (place, template) in &base.texts {
            self.texts.entry(*place).or_insert_with(|| template.clone());
        }
    }

    /// The words for whoever wants this language.
    #[must_use]
    pub fn tongue(&self, wanted: Lang) -> Tongue<'_> {
        let lang = match self.languages.first() {
            Some(first) if !self.languages.contains(&wanted) => *first,
            _ => wanted,
        };
        Tongue { lang, words: self }
    }
}

/// One language, and what is said in it in another way.
#[derive(Debug, Clone, Copy)]
pub struct Tongue<'w> {
    lang: Lang,
    words: &'w Words,
}

impl Tongue<'static> {
    /// A language as it is.
    #[must_use]
    pub fn plain(lang: Lang) -> Self {
        AS_THEY_ARE.tongue(lang)
    }
}

impl<'w> Tongue<'w> {
    /// The language.
    #[must_use]
    pub const fn lang(self) -> Lang {
        self.lang
    }

    /// A text without slots.
    #[must_use]
    pub fn say(self, word: Word) -> &'w str {
        let own = self.words.texts.get(&(word, self.lang));
        own.and_then(Template::plain)
            .unwrap_or_else(|| word.text(self.lang))
    }

    /// A text with its slots filled.
    #[must_use]
    pub fn fill(self, word: Word, values: &[(&str, &str)]) -> String {
        let value = |slot: &str| {
            let value = values.iter().find(|(name, _)| *name == slot);
            Cow::Borrowed(value.map_or("", |(_, value)| *value))
        };
        if let Some(own) = self.words.texts.get(&(word, self.lang)) {
            return own.fill(value);
        }
        let text = word.text(self.lang);
        Template::compile(text, |_| true).map_or_else(|_| text.to_owned(), |own| own.fill(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_text_is_there_in_every_language() {
        let mut keys = BTreeSet::new();
        for word in Word::ALL.iter().copied() {
            let key = word.key();
            assert!(keys.insert(key), "{key} twice");
            let good = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(key.chars().all(good), "{key}");
            let english = word.text(Lang::En);
            for lang in Lang::ALL {
                let text = word.text(lang);
                assert!(
                    !text.is_empty() && text.trim() == text,
                    "{key} in {lang}: {text:?}"
                );
                assert_eq!(
                    text.ends_with('.'),
                    english.ends_with('.'),
                    "{key} in {lang}: {text}"
                );
                let compiled = Template::compile(text, |slot| word.slots().contains(&slot));
                let slots: BTreeSet<String> = compiled
                    .unwrap_or_else(|why| panic!("{key} in {lang}: {why}"))
                    .slots()
                    .map(str::to_owned)
                    .collect();
                let english = Template::compile(english, |_| true).expect("checked first");
                assert_eq!(
                    slots,
                    english.slots().map(str::to_owned).collect(),
                    "{key} in {lang}"
                );
                // The same text twice is a text that was forgotten.
                assert!(
                    lang == Lang::En || text != word.text(Lang::En),
                    "{key} in {lang}"
                );
            }
        }
    }

    #[test]
    fn languages_keep_their_typography() {
        for word in Word::ALL.iter().copied() {
            let french = word.text(Lang::Fr);
            assert!(!french.contains('\''), "a straight apostrophe: {french}");
            for (at, _) in french.match_indices([':', ';', '?', '!', '»']) {
                let before = french[..at].chars().next_back();
                let in_url = french[at..].starts_with("://");
                assert!(
                    in_url || before.is_some_and(|c| c == '\u{a0}' || c == '\u{202f}'),
                    "no fixed space: {french}"
                );
            }
            // Switzerland writes no ß, so that both can read it.
            assert!(
                !word.text(Lang::De).contains('ß'),
                "{}",
                word.text(Lang::De)
            );
        }
    }

    #[test]
    fn what_is_replaced_is_said_in_its_language_alone() {
        let template = |text| Template::compile(text, |_| true).expect("a template");
        let mut base = Words::default();
        base.replace(Word::GoBack, Lang::De, template("Hier {{zurück}}"));
        base.replace(Word::TooLow, Lang::De, template("ab {min}"));
        let mut own = Words::default();
        own.replace(Word::TooLow, Lang::De, template("{min} oder mehr"));
        own.fall_back_on(&base);
        let german = own.tongue(Lang::De);
        assert_eq!(german.say(Word::GoBack), "Hier {zurück}");
        assert_eq!(german.fill(Word::TooLow, &[("min", "5")]), "5 oder mehr");
        assert_eq!(german.say(Word::Entered), "Ihre Eingaben");
        own.speak(vec![Lang::Fr, Lang::De]);
        assert_eq!(own.tongue(Lang::De).lang(), Lang::De);
        assert_eq!(own.tongue(Lang::Es).lang(), Lang::Fr);
        assert_eq!(
            own.tongue(Lang::Es).say(Word::GoBack),
            "Revenir au formulaire"
        );
        assert_eq!(
            Tongue::plain(Lang::En).fill(Word::TooLow, &[("min", "{max}")]),
            "This must be {max} or more."
        );
    }
}
