use std::sync::{Arc, Mutex};
use std::task::Waker;

use http::HeaderMap;
use http_body::SizeHint;
use proptest::prelude::*;

use super::*;

/// What a body does when it is polled.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Data(Vec<u8>),
    Trailers,
    Failure,
    Wait,
}

/// A body of steps, which may say in advance how long it is.
#[derive(Clone, Debug)]
struct Scripted {
    steps: VecDeque<Step>,
    knows_its_length: bool,
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        match self.steps.pop_front() {
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data.into())))),
            Some(Step::Trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers())))),
            Some(Step::Failure) => Poll::Ready(Some(Err("broke off"))),
            Some(Step::Wait) => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.knows_its_length && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if !self.knows_its_length {
            return SizeHint::default();
        }
        let lengths = self.steps.iter().map(|step| match step {
            Step::Data(data) => data.len() as u64,
            _ => 0,
        });
        SizeHint::with_exact(lengths.sum())
    }
}

fn trailers() -> HeaderMap {
    [(http::header::ETAG, "1".parse().unwrap())].into_iter().collect()
}

fn scripted(steps: impl Into<VecDeque<Step>>) -> Scripted {
    Scripted { steps: steps.into(), knows_its_length: true }
}

fn data(text: &str) -> Step {
    Step::Data(text.into())
}

type NextFrame<B> = Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>;

fn next<B: Body + Unpin>(body: &mut B) -> Poll<NextFrame<B>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// What the rest of a body does.
fn rest<B: Body<Data = Bytes, Error = &'static str> + Unpin>(body: &mut B) -> Vec<Step> {
    let mut steps = Vec::new();
    loop {
        steps.push(match next(body) {
            Poll::Ready(None) => return steps,
            Poll::Ready(Some(Err(_))) => Step::Failure,
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Step::Data(data.into()),
                Err(_) => Step::Trailers,
            },
            Poll::Pending => Step::Wait,
        });
    }
}

/// Polls until there is an answer, and says how often it had to wait.
fn look(
    body: Scripted,
    limit: usize,
    judge: impl FnMut(&[u8]) -> Option<Verdict> + Send + Sync + 'static,
) -> (Verdict, PeekedBody<Scripted>, usize) {
    let mut judge = judge;
    let mut peek = Peek::new(Response::new(body), limit, move |_, prefix| judge(prefix));
    let mut waits = 0;
    loop {
        match Pin::new(&mut peek).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready((verdict, answer)) => return (verdict, answer.into_body(), waits),
            Poll::Pending => waits += 1,
        }
    }
}

/// Refused as soon as there are so many bytes.
fn refused_at(bytes: usize) -> impl FnMut(&[u8]) -> Option<Verdict> + Send + Sync + 'static {
    move |prefix| (prefix.len() >= bytes).then_some(Verdict::Refused)
}

#[test]
fn it_ends_as_soon_as_there_is_a_verdict() {
    let steps = [data("ab"), Step::Wait, data("cd"), Step::Wait, data("ef")];
    let (verdict, mut body, waits) = look(scripted(steps), 100, refused_at(3));
    assert_eq!((verdict, waits), (Verdict::Refused, 1));
    assert_eq!(body.size_hint().exact(), Some(6));
    assert_eq!(rest(&mut body), [data("ab"), data("cd"), data("ef")]);
    assert!(body.is_end_stream());
}

#[test]
fn without_a_verdict_it_ends_at_the_limit_and_the_caller_has_the_answer() {
    let steps = [data("abc"), Step::Wait, data("def"), Step::Wait, data("ghi")];
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shown = Arc::clone(&seen);
    let (verdict, mut body, waits) = look(scripted(steps), 5, move |prefix| {
        shown.lock().unwrap().push(prefix.to_vec());
        None
    });
    assert_eq!((verdict, waits), (Verdict::Accepted, 1));
    assert_eq!(*seen.lock().unwrap(), [b"abc".to_vec(), b"abcde".to_vec()]);
    assert_eq!(rest(&mut body), [data("abc"), data("def"), Step::Wait, data("ghi")]);
}

#[test]
fn a_frame_past_the_limit_is_passed_on_whole_and_without_a_copy() {
    let frame = vec![b'x'; 100_000];
    let bytes = Bytes::from(frame.clone());
    let answer = Response::new(http_body_util::Full::new(bytes.clone()));
    let mut peek = Peek::new(answer, 8, |_, prefix| (prefix.len() > 8).then_some(Verdict::Refused));
    let Poll::Ready((verdict, answer)) =
        Pin::new(&mut peek).poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("it is all there")
    };
    assert_eq!(verdict, Verdict::Accepted);
    let Poll::Ready(Some(Ok(passed))) = next(&mut answer.into_body()) else { panic!() };
    let passed = passed.into_data().unwrap();
    assert_eq!((passed.as_ptr(), passed.len()), (bytes.as_ptr(), frame.len()));
}

#[test]
fn what_was_read_comes_before_the_error_of_a_body_that_breaks_off() {
    for knows_its_length in [true, false] {
        let steps = [data("ab"), Step::Wait, data("cd"), Step::Failure];
        let body = Scripted { steps: steps.into(), knows_its_length };
        let (verdict, mut body, _) = look(body, 100, |_| None);
        assert_eq!(verdict, Verdict::Accepted);
        assert!(!body.is_end_stream());
        assert_eq!(rest(&mut body), [data("ab"), data("cd"), Step::Failure]);
    }
}

#[test]
fn a_body_that_sends_frames_without_bytes_for_ever_is_not_read_for_ever() {
    struct Heartbeats(Arc<Mutex<usize>>);
    impl Body for Heartbeats {
        type Data = Bytes;
        type Error = &'static str;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            *self.0.lock().unwrap() += 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
        }
    }
    let read = Arc::new(Mutex::new(0));
    let mut peek = Peek::new(Response::new(Heartbeats(Arc::clone(&read))), 64, |_, _| None);
    assert!(Pin::new(&mut peek).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert_eq!(*read.lock().unwrap(), 64);
}

#[test]
fn a_body_without_bytes_is_known_at_once() {
    let (verdict, body, waits) = look(scripted([]), 8, |_| None);
    assert_eq!((verdict, waits), (Verdict::Accepted, 0));
    assert!(body.is_end_stream() && body.size_hint().exact() == Some(0));
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..12).prop_map(Step::Data),
        3 => Just(Step::Wait),
    ];
    let last = prop_oneof![Just(None), Just(Some(Step::Trailers)), Just(Some(Step::Failure))];
    (prop::collection::vec(step, 0..12), last).prop_map(|(mut steps, last)| {
        steps.extend(last);
        steps
    })
}

proptest! {
    /// Wherever the frames are split and the look ends: the same frames, and the same told of them in advance.
    #[test]
    fn what_comes_out_is_what_went_in(
        steps in steps(),
        knows_its_length in any::<bool>(),
        limit in 0_usize..40,
        enough in 0_usize..60,
    ) {
        let original = Scripted { steps: steps.clone().into(), knows_its_length };
        let bytes: Vec<u8> = steps.iter().flat_map(|step| match step {
            Step::Data(data) => data.clone(),
            _ => Vec::new(),
        }).collect();
        let (whole, most) = (bytes.clone(), Arc::new(Mutex::new(0)));
        let shown = Arc::clone(&most);
        let (verdict, mut body, _) = look(original.clone(), limit, move |prefix| {
            assert!(whole.starts_with(prefix));
            *shown.lock().unwrap() = prefix.len();
            refused_at(enough)(prefix)
        });
        let most = *most.lock().unwrap();
        prop_assert!(most <= limit);
        prop_assert_eq!(verdict == Verdict::Refused, enough <= most);
        prop_assert!(verdict == Verdict::Refused || most == limit || most == bytes.len()
            || steps.len() >= limit, "it gave up at {} of {}", most, bytes.len());

        // A wait that was over during the look does not come again.
        let mut expected = original;
        loop {
            let left: u64 = expected.clone().steps.iter().map(|step| match step {
                Step::Data(data) => data.len() as u64,
                _ => 0,
            }).sum();
            let hint = body.size_hint();
            prop_assert!(hint.lower() <= left && hint.upper().is_none_or(|upper| left <= upper));
            if knows_its_length {
                prop_assert_eq!(hint.exact(), Some(left));
            }
            let is_over = expected.steps.iter().all(|step| *step == Step::Wait);
            prop_assert!(!body.is_end_stream() || is_over);
            prop_assert!(body.is_end_stream() || !knows_its_length || !expected.steps.is_empty());
            let Poll::Ready(got) = next(&mut body) else {
                continue;
            };
            while expected.steps.front() == Some(&Step::Wait) { expected.steps.pop_front(); }
            let wanted = expected.steps.pop_front();
            match got {
                None => {
                    prop_assert_eq!(wanted, None);
                    break;
                }
                Some(Err(error)) => prop_assert_eq!((wanted, error), (Some(Step::Failure), "broke off")),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => prop_assert_eq!(wanted, Some(Step::Data(data.to_vec()))),
                    Err(frame) => {
                        prop_assert_eq!(frame.into_trailers().ok(), Some(trailers()));
                        prop_assert_eq!(wanted, Some(Step::Trailers));
                    }
                },
            }
        }
    }
}
