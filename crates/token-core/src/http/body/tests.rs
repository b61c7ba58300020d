use std::collections::VecDeque;

use http::HeaderMap;
use http_body_util::{BodyExt, Empty, Full};

use super::*;

/// Frames as scripted; `None` is a wait.
struct Scripted(VecDeque<Option<Result<Frame<Bytes>, BoxError>>>);

impl Body for Scripted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.0.pop_front() {
            Some(Some(frame)) => Poll::Ready(Some(frame)),
            Some(None) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }
}

fn data(text: &'static str) -> Option<Result<Frame<Bytes>, BoxError>> {
    Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
}

fn failure() -> Option<Result<Frame<Bytes>, BoxError>> {
    Some(Err("the disk is gone".into()))
}

fn scripted<const N: usize>(frames: [Option<Result<Frame<Bytes>, BoxError>>; N]) -> Scripted {
    Scripted(frames.into())
}

fn next<B>(body: &mut ReplayBody<B>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// All that is left of a body: its text and its trailers.
fn rest<B>(body: &mut ReplayBody<B>) -> Result<(String, Option<HeaderMap>), BoxError>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    let (mut text, mut trailers) = (String::new(), None);
    loop {
        match next(body) {
            Poll::Pending => {}
            Poll::Ready(None) => return Ok((text, trailers)),
            Poll::Ready(Some(Err(error))) => return Err(error),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => text.push_str(std::str::from_utf8(&data).unwrap()),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
}

#[test]
fn a_body_in_memory_is_sent_twice_without_a_copy_of_its_bytes() {
    let bytes = Bytes::from(vec![b'x'; 1024]);
    let (first, replay) = ReplayBody::new(Full::new(bytes.clone()), Some(1024));
    assert!(matches!(first.kind, Kind::Whole { .. }));
    assert_eq!(first.size_hint().exact(), Some(1024));
    for mut body in [first, replay.take().unwrap()] {
        let Poll::Ready(Some(Ok(frame))) = next(&mut body) else { panic!() };
        assert_eq!(frame.into_data().unwrap().as_ptr(), bytes.as_ptr());
        assert!(body.is_end_stream());
    }
}

#[test]
fn a_body_in_memory_can_be_cloned_until_it_is_sent_and_a_stream_cannot() {
    let (mut first, _replay) = ReplayBody::new(Full::new(Bytes::from_static(b"abc")), Some(10));
    let mut clone = first.try_clone().unwrap();
    assert_eq!(rest(&mut clone).unwrap().0, "abc");
    assert_eq!(rest(&mut first).unwrap().0, "abc");
    assert!(first.try_clone().is_none(), "a clone would be empty");
    assert!(ReplayBody::new(scripted([data("a")]), Some(10)).0.try_clone().is_none());
}

#[test]
fn no_body_stays_no_body() {
    let (first, replay) = ReplayBody::new(Empty::<Bytes>::new(), Some(0));
    assert!(first.is_end_stream() && replay.take().unwrap().is_end_stream());
}

#[test]
fn the_limit_counts_the_last_byte_and_one_more_is_not_remembered() {
    let body = || Full::new(Bytes::from_static(b"12345"));
    assert!(ReplayBody::new(body(), Some(5)).1.is_possible());
    assert!(!ReplayBody::new(body(), Some(4)).1.is_possible());
    assert!(!ReplayBody::new(body(), None).1.is_possible());
    let (mut sent, _) = ReplayBody::new(body(), Some(4));
    assert_eq!(rest(&mut sent).unwrap().0, "12345");
}

#[test]
fn a_stream_that_was_sent_is_sent_again_with_its_trailers() {
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", "1".parse().unwrap());
    let frames = [data("a"), None, data("b"), Some(Ok(Frame::trailers(trailers.clone())))];
    let (mut first, replay) = ReplayBody::new(scripted(frames), Some(10));
    let expected = ("ab".to_owned(), Some(trailers));
    assert_eq!(rest(&mut first).unwrap(), expected);
    assert!(first.is_end_stream());
    assert_eq!(rest(&mut replay.take().unwrap()).unwrap(), expected);
}

#[test]
pub(crate) fn a_superseded_body_ends_with_an_error_and_its_replay_has_every_byte() {
    let (mut first, replay) =
        ReplayBody::new(scripted([data("a"), data("b"), data("c")]), Some(10));
    assert!(matches!(next(&mut first), Poll::Ready(Some(Ok(_)))));
    let mut second = replay.take().unwrap();
    assert!(!first.is_end_stream(), "an end would be taken for the whole");
    assert!(rest(&mut first).unwrap_err().is::<Superseded>());
    assert_eq!(rest(&mut second).unwrap().0, "abc");
}

#[test]
pub(crate) fn a_body_over_the_limit_is_not_replayed_in_part() {
    let (mut first, replay) = ReplayBody::new(scripted([data("123"), data("456")]), Some(5));
    assert!(replay.is_possible());
    assert_eq!(rest(&mut first).unwrap().0, "123456");
    if let Some(mut again) = replay.take() {
        assert_eq!(rest(&mut again).unwrap().0, "123456");
    }
}

#[test]
fn a_replay_that_outgrows_the_limit_is_still_sent_whole() {
    let (mut first, replay) = ReplayBody::new(scripted([data("123"), data("456")]), Some(5));
    assert!(matches!(next(&mut first), Poll::Ready(Some(Ok(_)))));
    assert_eq!(rest(&mut replay.take().unwrap()).unwrap().0, "123456");
}

#[test]
fn a_body_that_fails_half_way_fails_and_is_not_sent_again() {
    let (mut first, replay) = ReplayBody::new(scripted([data("a"), failure()]), Some(10));
    assert_eq!(rest(&mut first).unwrap_err().to_string(), "the disk is gone");
    assert!(!replay.is_possible() && replay.take().is_none());
}

#[test]
fn a_body_that_fails_at_the_first_look_fails_where_it_is_sent() {
    struct Lying;
    impl Body for Lying {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(Some(Err("no such file".into())))
        }
        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(3)
        }
    }
    let (mut first, replay) = ReplayBody::new(Lying, Some(10));
    assert_eq!(rest(&mut first).unwrap_err().to_string(), "no such file");
    assert!(!replay.is_possible());
}

/// Otherwise an upload that outgrows the limit while the token is renewed could no more be sent again.
#[test]
fn a_first_copy_that_is_held_sends_nothing_more_and_goes_on_if_there_is_no_replay() {
    let frames = || scripted([data("123"), data("456")]);
    let (mut first, replay) = ReplayBody::new(frames(), Some(5));
    assert!(next(&mut first).is_ready());
    replay.hold();
    assert!(next(&mut first).is_pending());
    assert_eq!(rest(&mut replay.take().unwrap()).unwrap().0, "123456");
    assert!(rest(&mut first).unwrap_err().is::<Superseded>());

    let (mut first, replay) = ReplayBody::new(frames(), Some(5));
    assert!(next(&mut first).is_ready());
    replay.hold();
    assert!(next(&mut first).is_pending());
    drop(replay);
    assert_eq!(rest(&mut first).unwrap().0, "456");
}

#[tokio::test]
async fn a_first_copy_that_is_held_is_woken_when_it_may_go_on() {
    let (mut first, replay) = ReplayBody::new(scripted([data("a"), data("b")]), Some(10));
    assert!(next(&mut first).is_ready());
    replay.hold();
    let first = tokio::spawn(first.collect());
    tokio::task::yield_now().await;
    drop(replay);
    assert_eq!(first.await.unwrap().unwrap().to_bytes(), "b");
}

/// A stream that runs for hours after its answer began must not keep what it has sent.
#[test]
fn what_no_replay_needs_is_not_remembered() {
    let (mut first, replay) = ReplayBody::new(scripted([data("a"), data("b")]), Some(100));
    assert!(next(&mut first).is_ready());
    let Means::Stream(shared) = &replay.0 else { panic!("no stream") };
    let shared = Arc::clone(shared);
    assert!(lock(&shared).can_be_sent_again());
    drop(replay);
    assert!(next(&mut first).is_ready());
    assert!(!lock(&shared).can_be_sent_again());
}

#[test]
fn a_small_piece_of_a_large_buffer_does_not_keep_the_buffer() {
    let large = Bytes::from(vec![1; 1024 * 1024]);
    let frames = [Some(Ok(Frame::data(large.slice(0..1)))), None];
    let (mut first, _replay) = ReplayBody::new(scripted(frames), Some(10));
    assert!(next(&mut first).is_ready());
    assert!(large.is_unique(), "one byte is remembered, a mebibyte is kept");
}

/// hyper chooses `Content-Length` where a hint is exact, and then has no place for trailers.
#[test]
fn a_stream_of_unknown_length_has_none_when_it_is_sent_again() {
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", "1".parse().unwrap());
    let frames = [data("12345"), Some(Ok(Frame::trailers(trailers)))];
    // Its hint becomes exact at the limit.
    let body = http_body_util::Limited::new(scripted(frames), 5);
    let (mut first, replay) = ReplayBody::new(body, Some(100));
    assert_eq!(first.size_hint().exact(), None);
    assert!(rest(&mut first).unwrap().1.is_some());
    let mut again = replay.take().unwrap();
    assert_eq!(again.size_hint().exact(), None, "framed otherwise than the first time");
    assert!(rest(&mut again).unwrap().1.is_some());
}

/// A panic loses what the body had in hand: what comes after it is not the rest of the whole.
#[test]
fn a_body_that_panicked_is_not_sent_again_with_a_hole_in_it() {
    struct Panics(u8);
    impl Body for Panics {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            self.0 += 1;
            match self.0 {
                1 => Poll::Ready(data("a")),
                2 => panic!("cannot encode b"),
                3 => Poll::Ready(data("c")),
                _ => Poll::Ready(None),
            }
        }
    }
    for taken_before in [false, true] {
        let (mut first, replay) = ReplayBody::new(Panics(0), Some(10));
        assert!(next(&mut first).is_ready());
        let panics = |body: &mut ReplayBody<Panics>| {
            let poll = std::panic::AssertUnwindSafe(|| next(body).is_ready());
            std::panic::catch_unwind(poll).is_err()
        };
        if taken_before {
            let mut again = replay.take().unwrap();
            assert!(next(&mut again).is_ready());
            assert!(panics(&mut again));
            assert!(!again.is_end_stream() && rest(&mut again).is_err());
        } else {
            assert!(panics(&mut first));
            assert!(!replay.is_possible() && replay.take().is_none());
        }
    }
}

#[test]
fn a_body_that_failed_is_not_at_its_end() {
    let (mut first, _replay) = ReplayBody::new(scripted([data("a"), failure()]), Some(10));
    assert!(next(&mut first).is_ready());
    assert!(matches!(next(&mut first), Poll::Ready(Some(Err(_)))));
    assert!(!first.is_end_stream());
    assert!(matches!(next(&mut first), Poll::Ready(Some(Err(_)))));
}

/// Against http-body's contract, but seen: a hint that does not count down.
#[test]
fn a_length_hint_that_does_not_count_down_does_not_change_the_replays_length() {
    struct Stubborn(VecDeque<&'static [u8]>);
    impl Body for Stubborn {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(Bytes::from_static(data)))))
        }
        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(4)
        }
    }
    let (mut first, replay) = ReplayBody::new(Stubborn([&b"ab"[..], b"cd"].into()), Some(10));
    assert_eq!(first.size_hint().exact(), Some(4));
    assert!(next(&mut first).is_ready());
    assert_eq!(first.size_hint().exact(), Some(2));
    let mut second = replay.take().unwrap();
    assert_eq!(second.size_hint().exact(), Some(4));
    assert_eq!(rest(&mut second).unwrap().0, "abcd");
    assert_eq!(second.size_hint().exact(), Some(0));
}

#[tokio::test]
async fn a_first_copy_that_waits_is_woken_when_it_is_superseded() {
    let (sender, mut channel) = http_body_util::channel::Channel::<Bytes>::new(1);
    let pinned = Pin::new(&mut channel);
    assert!(!pinned.is_end_stream());
    let (first, replay) = ReplayBody::new(channel, Some(10));
    let first = tokio::spawn(first.collect());
    tokio::task::yield_now().await;
    let _second = replay.take().unwrap();
    let error = first.await.unwrap().unwrap_err();
    assert!(error.is::<Superseded>());
    drop(sender);
}

#[test]
fn a_body_that_is_shorter_than_it_said_does_not_become_a_whole_one() {
    struct Short(Option<Bytes>);
    impl Body for Short {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
        }
        fn is_end_stream(&self) -> bool {
            self.0.is_none()
        }
        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(10)
        }
    }
    // hyper then fails the request: the receiver must not take five bytes for the whole.
    let (first, _) = ReplayBody::new(Short(Some(Bytes::from_static(b"12345"))), Some(100));
    assert!(first.size_hint().lower() >= 10);
}
