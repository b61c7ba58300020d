//! Random orders of poll, hold, take, drop and wake on both copies of a stream, against what must hold at each moment.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use http::HeaderMap;
use proptest::prelude::*;

use super::*;

/// What a stream does when it is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Data(usize),
    Wait,
    Trailers,
    Fail,
}

/// What is done to its copies.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// With the last waker, or a new one.
    PollFirst(bool),
    PollReplay(bool),
    Hold,
    Take,
    DropReplay,
    DropFirst,
    Wake,
}

struct Source {
    acts: VecDeque<Act>,
    has_length: bool,
    tells_end: bool,
    sent: u8,
    waiting: bool,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl Body for Source {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while self.acts.front() == Some(&Act::Wait) {
            let waker = Arc::clone(&self.waker);
            let mut waker = waker.lock().unwrap();
            // Whoever polls without having been woken still waits.
            if !self.waiting || waker.is_some() {
                self.waiting = true;
                *waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            self.waiting = false;
            self.acts.pop_front();
        }
        let act = self.acts.pop_front();
        if matches!(act, Some(Act::Trailers | Act::Fail)) {
            self.acts.clear();
        }
        Poll::Ready(match act {
            Some(Act::Data(length)) => {
                let first = self.sent + 1;
                self.sent += length as u8;
                Some(Ok(Frame::data((first..=self.sent).collect::<Vec<_>>().into())))
            }
            Some(Act::Trailers) => Some(Ok(Frame::trailers(HeaderMap::new()))),
            Some(Act::Fail) => Some(Err("failed".into())),
            Some(Act::Wait) | None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.tells_end && self.acts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.has_length {
            SizeHint::with_exact(data_of(self.acts.iter()) as u64)
        } else {
            SizeHint::default()
        }
    }
}

fn data_of<'a>(acts: impl Iterator<Item = &'a Act>) -> usize {
    acts.map(|act| if let Act::Data(length) = act { *length } else { 0 }).sum()
}

struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Whoever sends one copy.
struct Sender {
    body: ReplayBody<Source>,
    length: Option<u64>,
    got: Vec<u8>,
    trailers: bool,
    /// `Some(true)`: it ended as a whole body does.
    end: Option<bool>,
    wakes: Arc<Wakes>,
    /// How often it had been woken when it was last told to wait.
    waits_since: Option<usize>,
}

impl Sender {
    fn new(body: ReplayBody<Source>) -> Self {
        Self {
            length: body.size_hint().exact(),
            body,
            got: Vec::new(),
            trailers: false,
            end: None,
            wakes: Arc::new(Wakes(AtomicUsize::new(0))),
            waits_since: None,
        }
    }

    fn is_woken(&self) -> bool {
        self.waits_since.is_none_or(|since| self.wakes.0.load(Ordering::SeqCst) > since)
    }

    fn poll(&mut self, new_waker: bool) {
        if self.end.is_some() {
            return;
        }
        if new_waker {
            self.wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        }
        let wakes = self.wakes.0.load(Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.wakes));
        let end = self.body.is_end_stream();
        if let Some(length) = self.length {
            let left = length - self.got.len() as u64;
            assert_eq!(self.body.size_hint().exact(), Some(left));
        }
        let polled = Pin::new(&mut self.body).poll_frame(&mut Context::from_waker(&waker));
        self.waits_since = polled.is_pending().then_some(wakes);
        match polled {
            Poll::Pending => {}
            Poll::Ready(None) => self.end = Some(true),
            Poll::Ready(Some(Err(_))) => {
                assert!(!end, "an end that is an error");
                self.end = Some(false);
            }
            Poll::Ready(Some(Ok(frame))) => {
                assert!(!end, "a frame after the end");
                match frame.into_data() {
                    Ok(data) => self.got.extend_from_slice(&data),
                    Err(_) => self.trailers = true,
                }
            }
        }
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0usize..6).prop_map(Act::Data),
        3 => Just(Act::Wait),
        1 => Just(Act::Trailers),
        1 => Just(Act::Fail),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        2 => any::<bool>().prop_map(Order::PollFirst),
        2 => any::<bool>().prop_map(Order::PollReplay),
        1 => Just(Order::Hold),
        1 => Just(Order::Take),
        1 => Just(Order::DropReplay),
        1 => Just(Order::DropFirst),
        1 => Just(Order::Wake),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn both_copies_keep_their_promises_in_every_order(
        acts in prop::collection::vec(act(), 0..7),
        orders in prop::collection::vec(order(), 0..40),
        has_length: bool,
        tells_end: bool,
        limit in 0usize..20,
    ) {
        let last = acts.iter().position(|act| matches!(act, Act::Trailers | Act::Fail));
        let acts = &acts[..last.map_or(acts.len(), |last| last + 1)];
        let fails = acts.last() == Some(&Act::Fail);
        let whole: Vec<u8> = (1..=data_of(acts.iter()) as u8).collect();
        let waker = Arc::new(Mutex::new(None::<Waker>));
        let source = Source {
            acts: acts.iter().copied().collect(),
            has_length,
            tells_end,
            sent: 0,
            waiting: false,
            waker: Arc::clone(&waker),
        };
        let wake = || waker.lock().unwrap().take().into_iter().for_each(Waker::wake);

        let (first, replay) = ReplayBody::new(source, Some(limit));
        let (mut first, mut replay) = (Some(Sender::new(first)), Some(replay));
        let (mut second, mut is_taken) = (None, false);
        for order in orders {
            match order {
                Order::PollFirst(new) => first.iter_mut().for_each(|sender| sender.poll(new)),
                Order::PollReplay(new) => second.iter_mut().for_each(|sender: &mut Sender| sender.poll(new)),
                Order::Hold => replay.iter().for_each(Replay::hold),
                Order::Take => if let Some(replay) = replay.take() {
                    let is_possible = replay.is_possible();
                    let body = replay.take();
                    prop_assert_eq!(is_possible, body.is_some());
                    is_taken = body.is_some();
                    second = body.map(Sender::new);
                },
                Order::DropReplay => replay = None,
                Order::DropFirst => first = None,
                Order::Wake => wake(),
            }
        }
        drop(replay);
        // From here on only who was woken polls: a lost waker is a sender that never comes to its end.
        for _ in 0..100 {
            wake();
            for sender in [&mut first, &mut second].into_iter().flatten() {
                if sender.is_woken() {
                    sender.poll(false);
                }
            }
        }
        for sender in [&first, &second].into_iter().flatten() {
            prop_assert!(sender.end.is_some(), "wedged after {:?}", sender.got);
            if sender.end == Some(true) {
                let trailers = acts.last() == Some(&Act::Trailers);
                prop_assert!(!fails && sender.got == whole && sender.trailers == trailers, "short: {:?}", sender.got);
            }
        }
        let must_succeed = if is_taken { &second } else { &first };
        prop_assert!(fails || must_succeed.as_ref().is_none_or(|sender| sender.end == Some(true)));
    }
}
