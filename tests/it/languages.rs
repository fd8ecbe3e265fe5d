//! The gateway speaks the person's language wherever it says something by itself; a hook's words stay as they are.

use serde_json::json;

use crate::support::App;
use crate::support::app;
use crate::support::client::Answer;
use crate::support::peer::Script;
use crate::support::site;

const CONTACT: &str = r#"
[form]
submit = "POST /contact"

[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

async fn post(app: &App, language: &str) -> (Answer, Answer) {
    let ask = || {
        let ask = app.post("/contact").header("accept-language", language);
        ask.form("name=Ana")
    };
    let script = ask().send().await;
    let page = ask().page().send().await;
    for answer in [&script, &page] {
        let vary = answer.header("vary").unwrap_or_default();
        assert!(vary.contains("accept-language"), "{vary}");
    }
    (script, page)
}

#[tokio::test]
async fn a_stop_is_said_in_the_persons_language() {
    let app = app(CONTACT).await;
    let reply = json!({"msg": "Zu früh!", "msg_type": "error"});
    app.hooks.reply(&reply);
    for (asked, tag, title, statement, entered, reference) in [
        (
            "en-GB,en;q=0.9,de;q=0.8",
            "en",
            "The form was not accepted",
            "Nothing was submitted.",
            "What you entered",
            "Reference: ",
        ),
        (
            "de-CH, en;q=0.5",
            "de",
            "Das Formular wurde nicht angenommen",
            "Es wurde nichts übermittelt.",
            "Ihre Eingaben",
            "Referenz: ",
        ),
        (
            "fr",
            "fr",
            "Le formulaire n’a pas été accepté",
            "Rien n’a été transmis.",
            "Ce que vous avez saisi",
            "Référence\u{a0}: ",
        ),
        (
            "it, es-419;q=0.9, en;q=0.1",
            "es",
            "El formulario no se ha aceptado",
            "No se ha enviado nada.",
            "Lo que ha introducido",
            "Referencia: ",
        ),
    ] {
        let (script, page) = post(&app, asked).await;
        assert_eq!(script.json()["title"], title);
        assert_eq!(script.json()["msg"], "Zu früh!");
        assert_eq!(script.header("content-language"), Some(tag));
        assert_eq!(page.header("content-language"), Some(tag));
        let text = page.text();
        for said in [statement, entered, reference, "Zu früh!"] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(text.contains(&format!("<html lang=\"{tag}\">")), "{text}");
        assert!(text.contains(&format!("<h1>{title}</h1>")), "{text}");
    }
}

#[tokio::test]
async fn what_nobody_can_read_is_asked_for_in_english() {
    let app = app(CONTACT).await;
    app.hooks.reply(&json!({"msg_type": "error"}));
    for language in ["", "it", "de;q=0", ";;,=", "*"] {
        let (script, _) = post(&app, language).await;
        assert_eq!(script.json()["title"], "The form was not accepted");
    }
    let silent = app.post("/contact").form("a=b").send().await;
    assert_eq!(silent.header("content-language"), Some("en"));
}

#[tokio::test]
async fn a_fragment_is_said_in_the_persons_language() {
    let app = app(CONTACT).await;
    app.hooks.reply(&json!({"msg": "No.", "msg_type": "error"}));
    let ask = app.post("/contact").header("accept-language", "fr-CH");
    let answer = ask.header("hx-request", "true").form("a=b").send().await;
    let text = answer.text();
    assert_eq!(answer.header("content-language"), Some("fr"));
    assert!(
        text.contains("lang=\"fr\"") && text.contains("Rien n’a été transmis."),
        "{text}"
    );
}

#[tokio::test]
async fn a_hook_that_cannot_be_asked_is_no_reason_for_english() {
    let app = app(CONTACT).await;
    app.hooks.always(Script::answer(500, "", ""));
    let (script, page) = post(&app, "de").await;
    assert_eq!(script.status, 503);
    let sorry = "Bitte versuchen Sie es gleich noch einmal.";
    assert!(script.text().contains(sorry), "{}", script.text());
    assert!(page.text().contains(sorry), "{}", page.text());
}

#[tokio::test]
async fn where_no_form_is_known_the_language_still_is() {
    let app = app(CONTACT).await;
    app.backend.close();
    let answer = app.get("/a").header("accept-language", "es").page();
    let text = answer.send().await.text();
    assert!(text.contains("El sitio no ha respondido"), "{text}");
    assert!(text.contains("No se puede acceder al sitio"), "{text}");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_to_the_person_and_to_the_developer() {
    let site = site().rules("contact", CONTACT);
    let site = site.configure(|config| config.intake.body = 1000);
    let app = site.start().await;
    let ask = || {
        let ask = app.post("/contact").header("accept-language", "de");
        ask.form(&"a".repeat(2000))
    };
    let script = ask().send().await;
    let json = script.json();
    assert_eq!(
        (script.status, &json["limit"]),
        (413, &json!("limits.body"))
    );
    let sentence = "Die gesendeten Daten sind zu umfangreich.";
    let msg = json["msg"].as_str().unwrap_or_default();
    assert!(msg.starts_with(sentence), "{json}");
    let detail = json["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains("1000"),
        "in English, with the limit: {json}"
    );
    let page = ask().page().send().await.text();
    assert!(page.contains(sentence), "{page}");
    let small = format!("<p class=\"formgate-small\" lang=\"en\">{detail}</p>");
    assert!(page.contains(&small), "{page}");
}

const CLUB: &str = r#"
[form]
submit = "POST /club"

[fields.name]
required = true
[fields.nick]
minlength = 3
maxlength = 5
[fields.code]
pattern = '[A-Z]{2}'
[fields.age]
type = "integer"
min = 16
[fields.born]
type = "date"
max = "2010-12-31"
[fields.mail]
type = "email"
[fields.home]
type = "url"
[fields.days]
type = "list"
max = 1
[fields.own]
type = "number"
msg = "Nur mit {Zahl}!"
"#;

const WRONG: &str = "name=&nick=ab&code=x&age=15&born=2011-01-01&mail=x&home=x&days=a&days=b&own=x";

async fn errors(app: &App, language: &str) -> serde_json::Value {
    let ask = app.post("/club").header("accept-language", language);
    let mut json = ask.form(WRONG).send().await.json();
    json["errors"].take()
}

#[tokio::test]
async fn constraints_are_said_in_the_persons_language() {
    let app = site().rules("club", CLUB).start().await;
    assert_eq!(
        errors(&app, "en").await,
        json!({
            "name": "Fill in this field.",
            "nick": "Use at least 3 characters (so far: 2).",
            "code": "This does not have the expected format.",
            "age": "This must be 16 or more.",
            "born": "This must be 2010-12-31 or earlier.",
            "mail": "Enter an e-mail address, such as name@example.org.",
            "home": "Enter a complete web address, such as https://example.org.",
            "days": "Choose at most 1.",
            "own": "Nur mit {Zahl}!",
        })
    );
    assert_eq!(
        errors(&app, "de-AT").await,
        json!({
            "name": "Bitte füllen Sie dieses Feld aus.",
            "nick": "Bitte geben Sie mindestens 3 Zeichen ein (bisher: 2).",
            "code": "Die Eingabe hat nicht das erwartete Format.",
            "age": "Der Wert muss mindestens 16 sein.",
            "born": "Das Datum darf nicht nach dem 2010-12-31 liegen.",
            "mail": "Bitte geben Sie eine E-Mail-Adresse ein, zum Beispiel name@example.org.",
            "home": "Bitte geben Sie eine vollständige Webadresse ein, zum Beispiel https://example.org.",
            "days": "Bitte wählen Sie höchstens 1 aus.",
            "own": "Nur mit {Zahl}!",
        })
    );
    let french = errors(&app, "fr").await;
    assert_eq!(
        french["nick"],
        "Veuillez saisir au moins 3 caractères (actuellement\u{a0}: 2)."
    );
    assert_eq!(
        french["born"],
        "La date ne doit pas être postérieure au 2010-12-31."
    );
    let spanish = errors(&app, "es").await;
    assert_eq!(spanish["name"], "Rellene este campo.");
    assert_eq!(spanish["age"], "El valor debe ser 16 o más.");
}

const ALL_FORMS: &str = r#"
[words]
nothing_saved = "all: nothing"
missing = "all: missing"
[words.de]
missing = "alle: fehlt"
too_low = "alle: ab {min}"
"#;

const OWN_WORDS: &str = r#"
[words]
go_back = "own: back to <the> {{club}}"
not_accepted = "own: no"
[words.de]
too_low = "eigen: {min} oder mehr"
"#;

#[tokio::test]
async fn a_rule_file_says_it_in_its_own_words() {
    let rules = format!("{CLUB}{OWN_WORDS}");
    let site = site().rules("club", &rules);
    let site = site.rules("all-forms", &format!("[form]\n{ALL_FORMS}"));
    let other = "[form]\nsubmit = \"POST /other\"\n[fields.name]\nrequired = true\n";
    let app = site.rules("other", other).start().await;

    let german = errors(&app, "de").await;
    assert_eq!(german["age"], "eigen: 16 oder mehr", "the form's own file");
    assert_eq!(german["name"], "alle: fehlt", "of all forms, in German");
    assert_eq!(german["own"], "Nur mit {Zahl}!", "a field's own message");
    let french = errors(&app, "fr").await;
    assert_eq!(french["name"], "all: missing", "of all forms, in any");
    assert_eq!(
        french["age"],
        "La valeur doit être supérieure ou égale à 16."
    );

    let ask = app.post("/club").header("accept-language", "es").page();
    let ask = ask.header("referer", "http://forms.example.org/club");
    let page = ask.form(WRONG).send().await;
    let text = page.text();
    assert!(text.contains("<h1>own: no</h1>"), "{text}");
    assert!(text.contains("all: nothing"), "{text}");
    assert!(text.contains("own: back to &#60;the&#62; {club}"), "{text}");
    assert!(text.contains("Lo que ha introducido"), "{text}");

    // Another form has only what is said for all.
    let ask = app.post("/other").header("accept-language", "de");
    let json = ask.form("name=").send().await.json();
    assert_eq!(json["title"], "Das Formular wurde nicht angenommen");
    assert_eq!(json["errors"]["name"], "alle: fehlt");
    // No form, no words of a form.
    app.backend.close();
    let page = app.get("/").page().send().await.text();
    assert!(page.contains("Nothing was submitted."), "{page}");
}

const SHOWN: &str = r#"
[form]
submit = "POST /trip"
load = "GET /trip"

[fields.name]
required = true

[words]
choose_file_again = "own: the file, please"

[[rule]]
on = "preprocess"
when = '@.doc.city == "bern"'
reply = { jdoc = { city = "Bern" } }
"#;

const TRIP: &str = "<!doctype html><html lang=\"en\"><title>Trip</title><main><form method=\"post\" action=\"/trip\" \
    enctype=\"multipart/form-data\"><input name=\"name\"><input name=\"city\"><input type=\"file\" name=\"map\">\
    </form></main></html>";

#[tokio::test]
async fn what_is_put_into_a_page_is_in_the_persons_language() {
    let app = site().rules("trip", SHOWN).start().await;
    app.backend.always(Script::page(200, TRIP));
    let ask = |body: &str| {
        let ask = app.post("/trip").header("accept-language", "de").page();
        ask.body("multipart/form-data; boundary=x", body)
    };
    let file = "--x\r\ncontent-disposition: form-data; name=\"map\"; filename=\"a.txt\"\r\n\
        content-type: text/plain\r\n\r\na\r\n--x--\r\n";
    let stopped = ask(file).send().await;
    assert_eq!(stopped.status, 422);
    let text = stopped.text();
    for said in [
        "lang=\"de\"",
        "Bitte korrigieren Sie diese Felder.",
        "Bitte füllen Sie dieses Feld aus.",
        "Es wurde nichts übermittelt.",
        "own: the file, please",
        "<html lang=\"en\">",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let fields = "--x\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\nAna\r\n\
        --x\r\ncontent-disposition: form-data; name=\"city\"\r\n\r\nbern\r\n--x--\r\n";
    let accepted = ask(fields).send().await;
    assert_eq!(accepted.status, 200);
    let text = accepted.text();
    assert!(text.contains("„City“ wurde in „Bern“ geändert."), "{text}");
}

#[tokio::test]
async fn a_site_speaks_the_languages_that_it_names() {
    let rules = SHOWN.replacen("[form]\n", "[form]\nlanguages = [\"fr\", \"de\"]\n", 1);
    let all = "[form]\nlanguages = [\"es\"]\n";
    let other = "[form]\nsubmit = \"POST /other\"\n[fields.name]\nrequired = true\n";
    let site = site().rules("trip", &rules).rules("other", other);
    let app = site.rules("all-forms", all).start().await;
    app.backend.always(Script::page(200, TRIP));

    for (wanted, spoken, missing) in [
        ("de", "de", "Bitte füllen Sie dieses Feld aus."),
        ("es", "fr", "Veuillez remplir ce champ."),
        ("en", "fr", "Veuillez remplir ce champ."),
    ] {
        let ask = || app.post("/trip").header("accept-language", wanted);
        let script = ask().form("name=").send().await;
        assert_eq!(script.json()["errors"]["name"], missing, "{wanted}");
        assert_eq!(script.header("content-language"), Some(spoken), "{wanted}");
        let page = ask().page().form("name=").send().await.text();
        assert!(page.contains(&format!("lang=\"{spoken}\"")), "{page}");
        assert!(page.contains(missing), "{page}");
    }
    let ask = app.post("/trip").header("accept-language", "en").page();
    let accepted = ask.form("name=Ana&city=bern").send().await.text();
    assert!(
        accepted.contains("Le champ «\u{a0}City\u{a0}» a été modifié"),
        "{accepted}"
    );
    let ask = app.post("/other").header("accept-language", "en");
    let json = ask.form("name=").send().await.json();
    assert_eq!(json["errors"]["name"], "Rellene este campo.");
}
