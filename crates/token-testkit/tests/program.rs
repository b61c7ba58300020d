//! The program as a process, over real HTTP, with curl, signals and a shell.

#![cfg(unix)]

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};

#[path = "kit/raw.rs"]
mod raw;

/// The running program, and what it said at its start.
struct Program {
    child: Child,
    said: Vec<String>,
}

impl Program {
    fn start(options: &[&str]) -> Self {
        let mut command = command(&[&["--port", "0"], options].concat());
        let child = command.stdout(Stdio::piped()).spawn().expect("the program");
        // From here on it is killed whatever happens.
        let mut program = Self { child, said: Vec::new() };
        let out = BufReader::new(program.child.stdout.take().expect("its output"));
        for line in out.lines().map(|line| line.expect("text")) {
            let last = line.ends_with("/control/history");
            program.said.push(line);
            if last {
                return program;
            }
        }
        panic!("it ended: {:?}", program.said);
    }

    fn said(&self, name: &str) -> &str {
        let line = self.said.iter().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {:?}", self.said)).trim()
    }

    fn origin(&self) -> &str {
        self.said("token endpoint").strip_suffix("/token").expect("a token endpoint")
    }

    fn refresh(&self, refresh_token: &str) -> Option<raw::Raw> {
        raw::request(self.origin(), "POST", "/token", &raw::refresh(refresh_token))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        raw::request(self.origin(), "POST", path, &body.to_string()).expect("an answer").json()
    }

    fn get(&self, path: &str) -> Value {
        raw::request(self.origin(), "GET", path, "").expect("an answer").json()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended before.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn command(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_token-testkit"));
    command.args(options);
    command
}

#[test]
fn the_login_that_it_prints_works_and_rotates() {
    let program = Program::start(&[]);
    let login = program.said("refresh token").to_owned();
    let first = program.refresh(&login).unwrap();
    assert_eq!((first.status, &first.json()["expires_in"]), (200, &json!(3600)));
    assert_eq!(program.refresh(&login).unwrap().json()["error"], "invalid_grant");
    let counters = program.get("/control/counters");
    assert_eq!(counters["counters"]["reuse_detected"], 1);
    assert!(!program.get("/control/history").to_string().contains("kit-rt-"));
}

#[test]
fn every_option_reaches_the_server() {
    let options = [
        ["--client-id", "an-id"],
        ["--client-secret", "a-secret"],
        ["--client-auth", "post"],
        ["--user", "ada:love:lace"],
        ["--access-lifetime", "90s"],
        ["--refresh-lifetime", "2h"],
        ["--rotation", "rotate"],
        ["--grace", "new-pair=30s"],
        ["--date-skew", "-7200"],
        ["--script", "status=502 retry-after=3; status=504"],
        ["--always", "status=418"],
        ["--api-script", "challenge=Basic%20realm=\"a\",%20Bearer; close"],
    ];
    let program = Program::start(&[&options.concat()[..], &["--revoke-on-refresh"]].concat());
    let expected = json!({
        "access_lifetime": "90s", "refresh_lifetime": "7200s", "rotation": "rotate",
        "grace": "new-pair=30s", "date_skew": -7200,
    });
    assert_eq!(program.get("/control/settings"), expected);
    assert_eq!((program.said("client id"), program.said("client secret")), ("an-id", "a-secret"));
    let statuses: Vec<_> = (0..3).map(|_| program.refresh("x").unwrap().status).collect();
    assert_eq!(statuses, [502, 504, 418]);
    program.post("/control/always", &json!({ "fault": null }));
    let api = || raw::request(program.origin(), "GET", "/api", "");
    let challenged = api().unwrap();
    assert_eq!(challenged.header("www-authenticate"), Some("Basic realm=\"a\", Bearer"));
    assert!(api().is_none(), "the second one closes the connection");

    // The kit's own tests authenticate by Basic; this client must not.
    assert_eq!(program.refresh("x").unwrap().json()["error"], "invalid_client");
    let post = |form: &str| {
        curl(
            &["-d", "client_id=an-id", "-d", "client_secret=a-secret", "-d", form],
            program.said("token endpoint"),
        )
    };
    let password = post("grant_type=password&username=ada&password=love:lace");
    let refreshed = post(&raw::refresh(password["refresh_token"].as_str().unwrap()));
    assert_eq!(
        (&refreshed["expires_in"], &refreshed["refresh_expires_in"]),
        (&json!(90), &json!(7200))
    );
    let api = |tokens: &Value| {
        let bearer = format!("Authorization: Bearer {}", tokens["access_token"].as_str().unwrap());
        let output = Command::new("curl")
            .args([
                "-sS",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "-H",
                &bearer,
                program.said("API"),
            ])
            .output();
        text(&output.expect("curl").stdout)
    };
    assert_eq!((api(&password), api(&refreshed)), ("401".into(), "200".into()));
}

#[test]
fn random_faults_repeat_with_their_seed() {
    let seen = || {
        let options =
            ["--random-rate", "0.5", "--random-seed", "9", "--random-faults", "status=503; html"];
        let program = Program::start(&options);
        (0..30).map(|_| program.refresh("x").unwrap().status).collect::<Vec<_>>()
    };
    let first = seen();
    assert_eq!(first, seen());
    for status in [200, 400, 503] {
        assert!(first.contains(&status), "{first:?}");
    }
}

#[test]
fn a_public_client_needs_no_secret() {
    let program = Program::start(&["--client-auth", "public"]);
    let lines = program.said.iter().filter(|line| line.starts_with("curl ")).collect::<Vec<_>>();
    assert!(lines[0].contains("-d client_id='kit-client'") && !lines[0].contains("secret"));
    assert!(shell(lines[0])["access_token"].is_string());
}

#[test]
fn the_lines_that_it_prints_can_be_pasted() {
    for auth in ["basic", "post", "either"] {
        let program = Program::start(&["--client-auth", auth]);
        let lines: Vec<_> = program.said.iter().filter(|line| line.starts_with("curl ")).collect();
        let [refresh, script, history] = lines[..] else { panic!("{lines:?}") };
        let tokens = shell(refresh);
        assert!(tokens["access_token"].is_string(), "{tokens}");
        assert_eq!(shell(script)["script"], json!(["status=503 retry-after=7"]));
        let entries = shell(history);
        assert_eq!(
            (entries.as_array().unwrap().len(), &entries[0]["answer"]["kind"]),
            (1, &json!("issued"))
        );
        let next = tokens["refresh_token"].as_str().unwrap();
        assert_eq!(program.refresh(next).unwrap().header("retry-after"), Some("7"));
    }
}

#[test]
fn every_dialect_is_introduced_with_a_line_that_gets_tokens() {
    for (name, token) in [
        ("oauth", "/access_token"),
        ("pos-connector", "/token"),
        ("akuvox", "/datas/token"),
        ("high-level", "/access_token"),
        ("jwt-refresh", "/access_token"),
        ("nocturna", "/access_token"),
    ] {
        let program = Program::start(&["--dialect", name]);
        let lines: Vec<_> = program.said.iter().filter(|line| line.starts_with("curl ")).collect();
        let [renewal, _, history] = lines[..] else { panic!("{lines:?}") };
        let answer = shell(renewal);
        assert!(answer.pointer(token).is_some_and(Value::is_string), "{name}: {answer}");
        assert_eq!(shell(history)[0]["answer"]["kind"], "issued", "{name}");
    }
}

#[test]
fn a_dialect_has_its_time_zone_and_its_header() {
    let lines = |options: &[&str]| {
        let program = Program::start(options);
        let line = program.said.iter().find(|line| line.starts_with("curl ")).cloned();
        (shell(&line.expect("a line of curl")), program)
    };
    let local = |zone: &str| {
        let (answer, _) = lines(&["--dialect", "pos-connector", "--time-zone", zone]);
        answer["token_expiry"].as_str().expect("a local time").parse::<jiff::civil::DateTime>()
    };
    // Neither of them has summer time.
    let (tokyo, kolkata) = (local("Asia/Tokyo").unwrap(), local("Asia/Kolkata").unwrap());
    let apart = (tokyo - kolkata).total(jiff::Unit::Minute).unwrap();
    assert!((205.0..=210.0).contains(&apart), "{tokyo} {kolkata}");

    let (answer, program) = lines(&["--dialect", "akuvox", "--token-header", "x-hub"]);
    let token = answer["datas"]["token"].as_str().unwrap();
    let agent = format!("user-agent: {}", token_testkit::AKUVOX_USER_AGENT);
    let api = |name: &str| {
        curl(&["-H", &agent, "-H", &format!("{name}: {token}")], program.said("API"))["err_code"]
            .clone()
    };
    assert_eq!((api("x-hub"), api("x-auth-token")), (json!("0"), json!("-1")));
}

#[test]
fn a_broken_answer_is_what_curl_says_it_is() {
    let program = Program::start(&[
        "--script",
        "truncated carried-out; reset-before; garbage",
        "--grace",
        "same-pair=1h",
    ]);
    let login = program.said("refresh token").to_owned();
    let form = raw::refresh(&login);
    let run = || {
        let output = Command::new("curl")
            .args([
                "-sS",
                "-u",
                "kit-client:kit-secret",
                "-d",
                &form,
                program.said("token endpoint"),
            ])
            .output();
        output.expect("curl").status.code().unwrap()
    };
    // A part of the file, nothing, and something whole that is no JSON.
    assert_eq!([run(), run(), run()], [18, 52, 0]);
    let tokens = program.refresh(&login).unwrap().json();
    assert!(tokens["access_token"].is_string(), "the grace window gives it again");

    program.post("/control/refuse-connections", &json!({ "seconds": 3600 }));
    assert_eq!(run(), 7, "connection refused");
}

#[test]
fn ctrl_c_and_sigterm_end_it_in_peace() {
    for signal in ["INT", "TERM"] {
        let mut program = Program::start(&[]);
        let mut idle = raw::connect(program.origin()).unwrap();
        let id = program.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        assert!(program.child.wait().unwrap().success(), "{signal}");
        assert!(matches!(idle.read(&mut [0]), Ok(0) | Err(_)));
    }
}

#[test]
fn bad_options_are_told_what_is_expected() {
    let taken = Program::start(&[]);
    let port = taken.origin().rsplit(':').next().unwrap();
    for (options, said) in [
        (&["--grace", "30s"][..], "same-pair=30s"),
        (&["--rotation", "never"], "`rotate`, `repeat` or `omit`"),
        (&["--port", "99999"], "99999"),
        (&["--port", port], "cannot listen on port"),
        (&["--access-lifetime", "5"], "such as `90s`"),
        (&["--script", "hang; statsu=5"], "`statsu` is no word of a fault"),
        (&["--api-script", "close; hang"], "`hang` is no word of an API fault"),
        (&["--always", "hang garbage"], "`garbage` contradicts `hang`"),
        (&["--random-rate", "3", "--random-seed", "1"], "from 0 to 1"),
        (&["--random-rate", "0.5"], "--random-seed"),
        (&["--user", "ada"], "NAME:PASSWORD"),
        (&["--date-skew", "x"], "--date-skew"),
        (&["--dialect", "soap"], "`nocturna`"),
        (&["--time-zone", "Mars/Olympus"], "Mars/Olympus"),
        (&["--token-header", "a b"], "`a b` is no header"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let Output { status, stdout, stderr } = command(options).output().unwrap();
        assert!(!status.success() && stdout.is_empty(), "{options:?}");
        assert!(text(&stderr).contains(said), "{options:?}: {}", text(&stderr));
    }
}

#[test]
fn help_names_every_option() {
    let help = text(&command(&["--help"]).output().unwrap().stdout);
    for option in [
        "--port",
        "--dialect",
        "--time-zone",
        "--token-header",
        "--script",
        "--api-script",
        "--random-rate",
        "--grace",
        "--date-skew",
    ] {
        assert!(help.contains(option), "{help}");
    }
}

fn curl(options: &[&str], url: &str) -> Value {
    let output = Command::new("curl").arg("-sS").args(options).arg(url).output();
    parsed(&output.expect("curl, which is needed here"))
}

/// What a person pastes into a shell.
fn shell(line: &str) -> Value {
    parsed(&Command::new("sh").args(["-c", line]).output().expect("a shell"))
}

fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{} {}", text(&output.stdout), text(&output.stderr)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
