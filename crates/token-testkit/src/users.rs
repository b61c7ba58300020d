//! The people that log in.

use std::collections::HashMap;

use crate::refusal::Refusal;

/// Name of the user that a server of a [`Dialect`](crate::Dialect) without clients knows when the builder was given none.
pub const DEFAULT_USER: &str = "kit-user@example.com";

/// Password of [`DEFAULT_USER`].
pub const DEFAULT_PASSWORD: &str = "kit-password";

/// The users by their names.
#[derive(Default)]
pub(crate) struct Users(HashMap<String, User>);

struct User {
    password: String,
    active: bool,
}

impl Users {
    pub(crate) fn add(&mut self, name: String, password: String) {
        self.0.insert(name, User { password, active: true });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// False if there is no such user.
    pub(crate) fn set_active(&mut self, name: &str, active: bool) -> bool {
        self.0.get_mut(name).map(|user| user.active = active).is_some()
    }

    pub(crate) fn check_password(&self, name: &str, password: &str) -> Result<(), Refusal> {
        match self.0.get(name) {
            Some(user) if user.password == password => self.check_active(name),
            _ => Err(Refusal::WrongPassword),
        }
    }

    pub(crate) fn check_active(&self, name: &str) -> Result<(), Refusal> {
        match self.0.get(name) {
            Some(User { active: true, .. }) => Ok(()),
            Some(_) => Err(Refusal::UserDisabled),
            None => Err(Refusal::InvalidGrant("the user is unknown")),
        }
    }
}
