//! The reference passes the suite, and each store that is wrong fails it where it is wrong.

use token_core::store::MemoryStore;

token_testkit::conformance_tests!(MemoryStore::new());
