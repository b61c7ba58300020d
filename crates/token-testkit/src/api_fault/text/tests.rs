use proptest::prelude::*;

use super::*;

#[test]
fn words_say_what_rust_says_and_are_written_in_one_order() {
    let basic = ApiFault::unauthorized("Basic realm=\"a\", b");
    for (text, fault, written) in [
        ("none", ApiFault::none(), "none"),
        (
            "at-once challenge=Basic%20realm=%22a%22,%20b status=401",
            basic.at_once(),
            "status=401 challenge=Basic%20realm=\"a\",%20b at-once",
        ),
        (
            "status=401 challenge=Basic header=www-authenticate:Bearer",
            ApiFault::unauthorized("Basic").with_header("WWW-Authenticate", "Bearer"),
            "status=401 challenge=Basic challenge=Bearer",
        ),
        ("redirect=/x status=302", ApiFault::redirect(302, "/x"), "status=302 redirect=/x"),
        ("grpc-status=16", ApiFault::grpc_status(16), "grpc-status=16"),
        (
            "body=a%3Bb header=A:b:%20c status=200",
            ApiFault::status(200).with_header("a", "b: c").with_body("a;b"),
            "status=200 header=a:b:%20c body=a%3Bb",
        ),
        ("close close after-bytes=2", ApiFault::close().after_bytes(2), "close after-bytes=2"),
    ] {
        assert_eq!(text.parse().as_ref(), Ok(&fault), "{text}");
        assert_eq!(fault.to_string(), written);
    }
}

#[test]
fn an_error_says_what_is_wrong_and_what_is_expected() {
    for (text, said) in [
        ("", "an API fault has at least one word"),
        ("hang", "`hang` is no word of an API fault; known are none, "),
        ("status=101", "a number from 200 to 999"),
        ("challenge", "`challenge=` and a challenge such as"),
        ("challenge=%0A", "a challenge such as"),
        ("header=retry-after", "header=retry-after:7"),
        ("header=a%20b:c", "header=retry-after:7"),
        ("header=content-length:1", "are the server's"),
        ("grpc-status=256", "0 to 255"),
        ("after-bytes=-1", "a number of bytes"),
        ("close=1", "`close` takes no value"),
        ("close body=x", "`body=x` contradicts `close`"),
        ("status=401 status=403", "`status=403` contradicts `status=401`"),
        ("close at-once after-bytes=1", "`after-bytes=1` contradicts `close at-once`"),
    ] {
        let error = text.parse::<ApiFault>().unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn more_headers_than_a_map_takes_are_refused() {
    let mut answer = Answer::default();
    let value = HeaderValue::from_static("x");
    let added = (0..40_000)
        .take_while(|n| answer.add_header(format!("h{n}").as_bytes(), value.clone()).is_some());
    assert!((1000..40_000).contains(&added.count()));
}

#[test]
fn the_table_and_the_catalogue_have_every_word() {
    words::tests::check_documents::<ApiFault>("<!-- API words -->", CATALOGUE.iter().copied());
    for text in CATALOGUE {
        assert_eq!(text.parse::<ApiFault>().unwrap().to_string(), *text);
    }
}

fn any_fault() -> impl Strategy<Value = ApiFault> {
    let start = prop_oneof![
        Just(ApiFault::none()),
        Just(ApiFault::close()),
        any::<u16>().prop_map(ApiFault::status),
        ".*".prop_map(|challenge| ApiFault::unauthorized(&challenge)),
        (any::<u16>(), ".*").prop_map(|(status, url)| ApiFault::redirect(status, &url)),
        any::<u8>().prop_map(ApiFault::grpc_status),
    ];
    let headers = proptest::collection::vec(("[a-c!#%]{1,2}", ".*"), 0..4);
    let when = prop_oneof![
        Just(When::AfterBody),
        Just(When::AtOnce),
        any::<u64>().prop_map(When::AfterBytes)
    ];
    (start, headers, any::<Option<Vec<u8>>>(), when).prop_map(|(start, headers, body, when)| {
        let fault =
            headers.iter().fold(start, |fault, (name, value)| fault.with_header(name, value));
        let fault = match body {
            Some(body) => fault.with_body(body),
            None => fault,
        };
        ApiFault { when, ..fault }
    })
}

proptest! {
    #[test]
    fn every_fault_is_read_as_it_is_written(fault in any_fault()) {
        let text = fault.to_string();
        prop_assert_eq!(text.parse(), Ok(fault));
        prop_assert!(!text.contains([';', '\n']), "it fits into a script");
    }
}
