use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[test]
fn words_are_read_in_any_order_and_written_in_one() {
    for (text, written) in [
        ("status=503 retry-after=7 delay-before=2s", "delay-before=2s status=503 retry-after=7"),
        ("  status=502\thtml\n", "html status=502"),
        ("carried-out reset-before", "reset-after"),
        ("none", "none"),
        ("none hang none", "hang"),
        ("html html", "html"),
        ("expires-in=\"3600\" token-type=a%20b", "expires-in=\"3600\" token-type=a%20b"),
        ("body=a%3Bb%25 status=200", "body=a%3Bb%25 status=200"),
        ("body=", "body="),
        ("form status=200 error=slow_down", "error=slow_down status=200 form"),
        ("content-type=text/plain garbage", "garbage content-type=text/plain"),
    ] {
        assert_eq!(text.parse::<Fault>().unwrap().to_string(), written);
    }
}

#[test]
fn an_error_says_what_is_wrong_and_what_is_expected() {
    for (text, said) in [
        ("", "at least one word"),
        ("   ", "at least one word"),
        ("statsu=503", "`statsu` is no word of a fault; known are none, "),
        ("status=abc", "a number from 200 to 999"),
        ("status=101", "a number from 200 to 999"),
        ("status", "`status` needs a value"),
        ("hang=1", "`hang` takes no value"),
        ("delay-before=2", "`90s`"),
        ("retry-after=%0A", "a header can carry"),
        ("scope=%FF", "any text"),
        ("huge=-1", "a number of bytes"),
        ("drip=0/1s", "from 1 on"),
        ("drip=16", "drip=16/100ms"),
        ("refresh-token=other", "`repeated`, `null` or `empty`"),
        ("hang garbage", "`garbage` contradicts `hang`"),
        ("status=502 status=503", "`status=503` contradicts `status=502`"),
        ("expires-in=null status=503", "`status=503` contradicts `expires-in=null`"),
    ] {
        let error = text.parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn the_table_and_the_catalogue_have_every_word() {
    let catalogue = Fault::catalogue().map(|(text, _)| text);
    words::tests::check_documents::<Fault>("<!-- words -->", catalogue);
}

fn duration() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

fn body() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::html()),
        Just(Fault::empty()),
        Just(Fault::garbage()),
        Just(Fault::truncated()),
        Just(Fault::cut_json()),
        any::<String>().prop_map(Fault::oauth_error),
        any::<u64>().prop_map(Fault::huge),
        any::<u16>().prop_map(Fault::status),
        (any::<u16>(), ".*", any::<Vec<u8>>())
            .prop_map(|(status, media, body)| Fault::body(status, &media, body)),
        (any::<u16>(), ".*").prop_map(|(status, url)| Fault::redirect(status, &url)),
    ]
}

fn change() -> impl Strategy<Value = Fault> {
    prop_oneof![
        any::<String>().prop_map(Fault::expires_in),
        Just(Fault::without_expires_in()),
        any::<String>().prop_map(Fault::token_type),
        Just(Fault::without_token_type()),
        Just(Fault::without_refresh_token()),
        Just(Fault::repeated_refresh_token()),
        Just(Fault::null_refresh_token()),
        Just(Fault::empty_refresh_token()),
        any::<String>().prop_map(Fault::scope),
        Just(Fault::kill_family()),
    ]
}

fn addition() -> impl Strategy<Value = Fault> {
    prop_oneof![
        duration().prop_map(Fault::delay_before),
        duration().prop_map(Fault::delay_after),
        any::<u64>().prop_map(|seconds| Fault::none().retry_after(seconds)),
        any::<i64>().prop_map(|seconds| Fault::none().retry_after_date(seconds)),
        ".*".prop_map(|text| Fault::none().retry_after_header(&text)),
        (any::<usize>(), duration()).prop_map(|(n, every)| Fault::none().dripped(n, every)),
        Just(Fault::none().carried_out()),
        Just(Fault::form()),
    ]
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let action = prop_oneof![
        Just(Fault::none()),
        Just(Fault::hang()),
        Just(Fault::reset_before()),
        Just(Fault::reset_after()),
        body(),
        change(),
    ];
    // Joined at random, contradictions and all.
    proptest::collection::vec(prop_oneof![action, addition()], 0..8)
        .prop_map(|faults| faults.into_iter().fold(Fault::none(), Fault::and))
}

proptest! {
    #[test]
    fn every_fault_is_read_as_it_is_written(fault in any_fault()) {
        let text = fault.to_string();
        prop_assert_eq!(text.parse(), Ok(fault));
        prop_assert!(!text.contains([';', '\n']), "it fits into a script");
    }

    #[test]
    fn no_text_is_too_odd(text in ".*", words in "((status|body|drip|retry-after)=[ -~]{0,9} ){0,3}") {
        for text in [text, words] {
            if let Ok(fault) = text.parse::<Fault>() {
                prop_assert_eq!(fault.to_string().parse(), Ok(fault));
            }
        }
    }
}
