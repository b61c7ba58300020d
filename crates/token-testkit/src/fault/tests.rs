use super::*;

#[test]
fn a_status_that_cannot_end_a_request_becomes_500() {
    for (given, sent) in [(0, 500), (101, 500), (200, 200), (503, 503), (999, 999), (1000, 500)] {
        assert_eq!(Fault::status(given), Fault::status(sent));
        let Action::Answer(Scripted { status: Some(status), .. }) = Fault::status(given).action
        else {
            panic!("not an answer");
        };
        assert_eq!(status.as_u16(), sent);
    }
}

#[test]
fn joined_faults_do_both_and_the_later_counts_where_they_contradict() {
    let page = Fault::html().and(Fault::status(502)).and(Fault::none().retry_after(1));
    assert_eq!(page, Fault::status(502).retry_after(1).and(Fault::html()));
    assert_eq!(page.clone().and(Fault::hang()).action, Action::Hang);
    assert_eq!(page.clone().and(Fault::none()), page);
    assert_eq!(Fault::none().and(page.clone()), page);
    let rules = Fault::expires_in("0").and(Fault::scope("a")).and(Fault::expires_in("1"));
    assert_eq!(rules, Fault::scope("a").and(Fault::expires_in("1")));
}
