//! The invoices of the point of sale: created, submitted, processed for a while, and then there to download.

use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;

use crate::response::{self, Whole};

const INVOICES: &str = "/api/invoices";

/// How often a submitted invoice is reported as pending.
const PENDING: u32 = 2;

/// Every invoice so far; the first has the number 1.
#[derive(Default)]
pub(super) struct Invoices(Vec<State>);

#[derive(Clone, Copy)]
enum State {
    Draft,
    /// It is reported as pending so many times more.
    Submitted(u32),
    Done,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Submitted(_) => "pending",
            Self::Done => "done",
        }
    }
}

impl Invoices {
    /// `None` if it is no request for invoices.
    pub(super) fn answer(&mut self, method: &str, path: &str) -> Option<Whole> {
        let rest = path.strip_prefix(INVOICES)?;
        let (number, action) = match rest.strip_prefix('/') {
            None if !rest.is_empty() => return None,
            None => return Some(self.create(method)),
            Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
        };
        let place = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let Some((place, state)) = place.and_then(|place| Some((place, self.0.get_mut(place)?)))
        else {
            return Some(message(StatusCode::NOT_FOUND, "Invoice not found."));
        };
        Some(match (method, action, *state) {
            ("POST", "submit", State::Draft) => {
                *state = State::Submitted(PENDING);
                invoice(StatusCode::ACCEPTED, place, *state)
            }
            ("POST", "submit", _) => {
                message(StatusCode::CONFLICT, "The invoice was submitted before.")
            }
            ("GET", "status", reported) => {
                *state = match reported {
                    State::Submitted(0 | 1) => State::Done,
                    State::Submitted(more) => State::Submitted(more - 1),
                    other => other,
                };
                invoice(StatusCode::OK, place, reported)
            }
            ("GET", "pdf", State::Done) => pdf(place),
            ("GET", "pdf", _) => message(StatusCode::CONFLICT, "The invoice is not done."),
            _ => message(StatusCode::NOT_FOUND, "There is no such action."),
        })
    }

    fn create(&mut self, method: &str) -> Whole {
        if method != "POST" {
            return message(StatusCode::METHOD_NOT_ALLOWED, "Invoices are created with POST.");
        }
        self.0.push(State::Draft);
        invoice(StatusCode::CREATED, self.0.len() - 1, State::Draft)
    }
}

fn invoice(status: StatusCode, place: usize, state: State) -> Whole {
    response::json(status, &json!({ "id": place + 1, "status": state.name() }))
}

fn message(status: StatusCode, text: &str) -> Whole {
    response::json(status, &json!({ "message": text }))
}

/// A document of one empty page, with the number in its title.
fn pdf(place: usize) -> Whole {
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned(),
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>".to_owned(),
        format!("<</Title(Invoice {})>>", place + 1),
    ];
    let (mut document, mut table) = ("%PDF-1.4\n".to_owned(), String::new());
    for (number, object) in (1..).zip(&objects) {
        table.push_str(&format!("{:010} 00000 n \n", document.len()));
        document.push_str(&format!("{number} 0 obj\n{object}\nendobj\n"));
    }
    let (size, start) = (objects.len() + 1, document.len());
    document.push_str(&format!(
        "xref\n0 {size}\n0000000000 65535 f \n{table}\
         trailer\n<</Size {size}/Root 1 0 R/Info 4 0 R>>\nstartxref\n{start}\n%%EOF\n"
    ));
    let mut response = Response::new(Full::from(document));
    let media = HeaderValue::from_static("application/pdf");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}
