use super::super::{Profile, SHIPPED};
use super::profile;

const GOOD: &str = r#"name = "x"
[login]
url = "https://a.example/login"
json = { user = "u", password = { env = "X_PASSWORD" } }
"#;

/// The error of a profile that is wrong.
fn wrong(text: &str) -> String {
    match text.parse::<Profile>() {
        Ok(_) => panic!("this was loaded:\n{text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_file_is_named_where_it_cannot_be_read_or_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("parking.toml");
    let name = path.display().to_string();
    let error = Profile::load(&path).unwrap_err().to_string();
    assert!(error.contains(&name) && error.contains("is not loaded: "), "{error}");
    std::fs::write(&path, "name = \"x\"\ncolour = 1").unwrap();
    let error = Profile::load(&path).unwrap_err().to_string();
    assert!(error.contains(&name) && error.contains("line 2"), "{error}");
    std::fs::write(&path, GOOD).unwrap();
    assert_eq!(Profile::load(&path).unwrap().name(), "x");
}

#[test]
fn a_mistake_is_refused_with_its_line_and_its_mend() {
    assert_eq!(profile(GOOD).name(), "x");
    for (more, line, mend) in [
        // Fields and their forms.
        ("colour = 1", 2, "unknown field `colour`, expected one of `name`, `base_url`"),
        ("even_http = \"yes\"", 2, "invalid type: string, expected a boolean"),
        ("name = \"y\"", 2, "duplicate key `name`; leave one"),
        ("x = ", 2, "value"),
        // URLs.
        (
            "base_url = \"http://192.168.1.5:8000\"",
            2,
            "`http://192.168.1.5` is plain http to another machine",
        ),
        ("base_url = \"ftp://a.example\"", 2, "not an https URL"),
        ("base_url = \"https://a.example/?x=1\"", 2, "has no query"),
        ("base_url = \"https://me:CANARY@a.example\"", 2, "user name"),
        ("refresh.url = \"/r?x=CANARY\"", 2, "put what is in its query into `query`"),
        ("refresh.url = \"/r\"", 2, "a refresh presents a token that it has"),
        ("refresh = { url = \"r\" }", 2, "not an https URL"),
        ("refresh = { url = \"//a.example/r\" }", 2, "not an https URL"),
        // Requests.
        ("refresh = { url = \"/r\", method = \"post\" }", 2, "one of GET, PATCH, POST and PUT"),
        ("refresh = { url = \"/r\", json = {}, form = {} }", 2, "one body"),
        ("refresh = { url = \"/r\", method = \"GET\", json = {} }", 2, "a GET has no body"),
        ("refresh = { url = \"/r\", header = { \"a b\" = \"x\" } }", 2, "no header's name"),
        ("refresh = { url = \"/r\", header = { host = \"x\" } }", 2, "the HTTP client's own"),
        ("refresh = { url = \"/r\", header = { x-a = \"\\u0000\" } }", 2, "no header can carry"),
        ("refresh = { url = \"/r\", header = { X-A = \"1\", x-a = \"2\" } }", 2, "is there twice"),
        (
            "refresh = { url = \"/r\", header = { authorization = { env = \"X\" } }, bearer = { env = \"X\" } }",
            2,
            "the same header",
        ),
        (
            "refresh = { url = \"/r\", json = { a = { from = \"id_token\" } } }",
            2,
            "expected `access_token` or `refresh_token`",
        ),
        (
            "refresh = { url = \"/r\", json = { a = { env = \"A\", file = \"b\" } } }",
            2,
            "one of `from`, `env` and `file`",
        ),
        (
            "refresh = { url = \"/r\", json = { a = { env = \"A-B\" } } }",
            2,
            "name of an environment variable",
        ),
        (
            "refresh = { url = \"/r\", json = { a = { vault = \"x\" } } }",
            2,
            "unknown field `vault`",
        ),
        (
            "refresh = { url = \"/r\", json = { a = 1.5 } }",
            2,
            "invalid type: floating point, expected a string",
        ),
        (
            "refresh = { url = \"/r\", json = { a = [1] } }",
            2,
            "2: invalid type: sequence, expected a string, a whole number, a boolean, or a table with `from`, `env` or `file`",
        ),
        ("refresh = { url = \"/r\", json = { pass = \"CANARY\" } }", 2, "`pass` has a secret"),
        // The refresh token.
        ("refresh_token = { reusable = true }", 2, "presents no refresh token"),
        (
            "refresh_token.grace_window = { kind = \"new-pair\", length = \"30s\" }",
            2,
            "leave it out",
        ),
        (
            "refresh_token.grace_window = { kind = \"new\", length = \"30s\" }",
            2,
            "expected one of `same-pair`",
        ),
        // The answer.
        (
            "answer = { access_token = \"datas/token\" }",
            2,
            "begins with `/`, as `/datas/token` does",
        ),
        ("answer = { extra = { location = \"x\" } }", 2, "begins with `/`"),
        (
            "answer = { expires = { form = \"iso8601\", at = \"/x\", zone = \"Europe/Atlantis\" } }",
            2,
            "no time zone \"Europe/Atlantis\"",
        ),
        ("answer = { expires = { zone = \"UTC\" } }", 2, "leave it out"),
        ("answer = { expires = { form = \"jwt\", at = \"/x\" } }", 2, "leave `at` out"),
        ("answer = { expires = { form = \"epoch\" } }", 2, "add `at`"),
        ("answer = { expires = { form = \"minutes\" } }", 2, "expected one of `seconds`"),
        (
            "answer = { expires = { default = \"15\" } }",
            2,
            "a whole number above zero and `s`, `m`, `h` or `d`",
        ),
        // What answers mean.
        ("success = {}", 2, "would fit every answer"),
        ("success = { status = 2000 }", 2, "between 100 and 599"),
        ("success = { status = [] }", 2, "between 100 and 599"),
        ("success = { status = \"ok\" }", 2, "or a list of them"),
        ("success = { redirect = \"login\" }", 2, "known by its path"),
        ("success = { redirect = \"/login?next=/\" }", 2, "known by its path"),
        (
            "success = { redirect = \"/login\", status = [200, 401] }",
            2,
            "has a status of 300 to 399",
        ),
        ("success = { header = { name = \"a b\" } }", 2, "no header's name"),
        ("success = { json = { at = \"/x\", is = [] } }", 2, "at least one value"),
        ("success = { json = { at = \"/x\", is_not = [] } }", 2, "at least one value"),
        ("success = { json = { at = \"/x\", is = 1, is_not = 2 } }", 2, "leave `is_not` out"),
        (
            "refusal = [{ when = { status = 400 }, outcome = \"not-sent\" }]",
            2,
            "expected one of `rejected`",
        ),
        ("refusal = [{ when = {}, outcome = \"rejected\" }]", 2, "would fit every answer"),
        (
            "refusal = [{ when = { status = 400 }, outcome = \"rejected\", message = \"a\\nb\" }]",
            2,
            "one line",
        ),
        ("refusal = [{ when = { status = 400 } }]", 2, "missing field `outcome`"),
        // When, and the API.
        ("schedule = { every = \"6 days\" }", 2, "as in \"30m\""),
        ("schedule = { refresh_before = \"0s\" }", 2, "above zero"),
        ("api = { header = \"x y\" }", 2, "no header's name"),
        ("api = { header = \"Content-Length\" }", 2, "the HTTP client's own"),
        ("api = { scheme = \"two words\" }", 2, "no authentication scheme"),
        ("api = { probe = \"http://a.example/\" }", 2, "plain http"),
        ("api = { refused = [{}] }", 2, "would fit every answer"),
    ] {
        let text = GOOD.replacen('\n', &format!("\n{more}\n"), 1);
        let error = wrong(&text);
        assert!(
            error.starts_with(&format!("the profile is wrong in line {line}: ")),
            "{more}: {error}"
        );
        assert!(error.contains(mend), "{more}: {error}");
        assert!(!error.contains("CANARY"), "{error}");
    }
}

#[test]
fn the_line_is_that_of_the_mistake() {
    let text = "# A comment.\nname = \"x\"\n\n[login]\nurl = \"https://a.example/\"\n\n[answer]\n\naccess_token = \"token\"\n";
    assert!(wrong(text).contains("in line 9: "), "{}", wrong(text));
    assert!(
        wrong("name = \"x\"").contains("in line 1: the profile asks for nothing; add `[refresh]`")
    );
    assert!(
        wrong("\n\nname = \"a b\"\n[login]\nurl=\"/x\"").contains("in line 3: a profile's name")
    );
    assert!(wrong("[login]\nurl = \"/x\"").contains("missing field `name`"));
    let login = format!("{GOOD}[login.query]\na = {{ from = \"access_token\" }}");
    assert!(
        wrong(&login).contains("in line 2: a login has no tokens to present"),
        "{}",
        wrong(&login)
    );
    let grace = "name = \"x\"\n[refresh]\nurl = \"/r\"\nquery.t = { from = \"refresh_token\" }\n[refresh_token]\nreusable = true\n\
                 grace_window = { kind = \"new-pair\", length = \"1m\" }";
    assert!(wrong(grace).contains("in line 7: a grace window"), "{}", wrong(grace));
}

#[test]
fn a_secret_in_so_many_words_is_refused_and_not_shown() {
    for place in [
        "json = { password = \"CANARY\" }",
        "form = { client_secret = \"CANARY\" }",
        "query = { api_key = \"CANARY\" }",
        "header = { x-auth-token = \"CANARY\" }",
        "header = { x-anything = \"Bearer CANARY\" }",
        "json = { pin = 1234 }",
        "bearer = \"CANARY\"",
        "json = { field = \"eyJCANARY.eyJCANARY.CANARY\" }",
        "bearer = [\"CANARY\"]",
        "bearer = { from = \"CANARY\" }",
        "json = \"CANARY\"",
        "password = \"CANARY\"",
        "json = { password = \"CANARY",
        "json = { password = CANARY }",
    ] {
        let error = wrong(&format!("name = \"x\"\n[login]\nurl = \"/login\"\n{place}"));
        assert!(error.contains("in line 4"), "{place}: {error}");
        assert!(!error.contains("CANARY") && !error.contains("1234"), "{error}");
    }
    let error = wrong("name = \"x\"\n[login]\nurl = \"/l\"\njson = { password = \"x\" }");
    assert!(
        error.contains("write `password = { env = \"NAME\" }`, or into a file of mode 0600"),
        "{error}"
    );
}

#[test]
fn plain_http_is_for_loopback_unless_it_is_allowed() {
    let load = |url: &str, more: &str| {
        format!("name = \"x\"\n{more}\n[login]\nurl = \"{url}\"").parse::<Profile>()
    };
    for url in ["http://127.0.0.1:8000/x", "http://localhost/x", "http://[::1]:1/x"] {
        assert!(load(url, "").is_ok(), "{url}");
    }
    let error = load("http://pos.example/x", "").unwrap_err().to_string();
    assert!(error.contains("in line 4") && error.contains("`even_http = true`"), "{error}");
    assert!(load("http://pos.example/x", "even_http = true").is_ok());
    // A base URL that is set later is judged as one that is written.
    let path = load("/x", "").unwrap();
    assert!(path.clone().with_base_url("http://pos.example").is_err());
    assert!(path.with_base_url("https://pos.example/api").is_ok());
    assert!(load("/x", "even_http = true").unwrap().with_base_url("http://pos.example").is_ok());
}

#[test]
fn a_zone_can_be_set_where_there_are_local_times() {
    let connector = Profile::shipped("pos-connector").unwrap();
    assert!(connector.clone().with_zone("Europe/Berlin").is_ok());
    let error = connector.with_zone("Berlin").unwrap_err().to_string();
    assert!(error.contains("\"Berlin\"") && error.contains("Europe/Berlin"), "{error}");
    assert!(Profile::shipped("akuvox").unwrap().with_zone("UTC").is_err());
}

#[test]
fn the_shipped_profiles_are_good_and_named_as_they_are_listed() {
    for (name, _) in SHIPPED {
        assert_eq!(Profile::shipped(name).unwrap().name(), *name);
    }
    let error = Profile::shipped("acme").unwrap_err().to_string();
    assert!(error.contains("\"acme\"") && error.contains("akuvox, highlevel"), "{error}");
}
