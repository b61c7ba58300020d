//! Attaching a valid token: getting it and inserting the header into a request.

use std::error::Error;
use std::sync::Arc;

use arc_swap::ArcSwap;
use benches::herd::{self, Exchange, Terms};
use benches::micro::{Operation, compare};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request};
use token_core::Spends;
use token_core::http::{Origins, Policy};

fn main() -> Result<(), Box<dyn Error>> {
    if !benches::is_bench() {
        return Ok(());
    }
    let runtime = herd::runtime()?;
    let tokens = runtime.block_on(async {
        let terms = Terms { spends: Spends::Nothing, succeeds: true };
        let tokens = herd::manager(&Exchange::default(), terms)?;
        tokens.ready().await?;
        Ok::<_, Box<dyn Error>>(tokens)
    })?;
    let policy = Policy::new(Origins::only("https://api.example.com")?);
    let text = format!("Bearer {}", benches::access_token());
    let shared = ArcSwap::new(Arc::new(HeaderValue::try_from(text.clone())?));
    let fixed = HeaderValue::from_static(text.leak());
    let (tokens, policy, shared, fixed) = (&tokens, &policy, &shared, &fixed);

    // One request whose headers have room: no row pays for making it.
    let floor = Operation::new("a static header value", "", || {
        let mut request = Request::new(());
        move || {
            empty(&mut request).insert(AUTHORIZATION, fixed.clone());
        }
    });
    let cached = Operation::new("`cached()`", "≤ 2.5, 0", || {
        let mut request = Request::new(());
        move || {
            let token = tokens.cached().expect("the token is valid");
            empty(&mut request).insert(AUTHORIZATION, token.bearer().clone());
        }
    });
    let attach = Operation::new("`cached()` and `Policy::attach`", "≤ 2.5, 0", || {
        let mut request = Request::new(());
        move || {
            let token = tokens.cached().expect("the token is valid");
            policy.attach(empty(&mut request), &token);
        }
    });
    let arc_swap = Operation::new("arc-swap and one shared header value", "", || {
        let mut request = Request::new(());
        move || {
            let header = HeaderValue::clone(&shared.load());
            empty(&mut request).insert(AUTHORIZATION, header);
        }
    });
    for ours in [&cached, &attach] {
        assert!(ours.allocations() == 0.0, "attaching a valid token must not allocate");
    }
    compare("Attach a valid token of 1 kB", &[floor, cached, attach, arc_swap]);
    Ok(())
}

fn empty(request: &mut Request<()>) -> &mut HeaderMap {
    request.headers_mut().clear();
    request.headers_mut()
}
