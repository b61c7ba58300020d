use super::super::{Profile, SHIPPED};

const PAGE: &str = include_str!("../../../../docs/profiles.md");

/// The fields of each table, as the loader names them when it finds one that it does not know.
#[test]
fn every_field_has_its_row_in_the_documentation() {
    let login = "name = \"x\"\n[login]\nurl = \"/l\"\n";
    for (place, heading) in [
        ("colour = 1\nname = \"x\"", "The profile"),
        (&format!("{login}colour = 1"), "`[login]` and `[refresh]`"),
        (&format!("{login}json.a = {{ colour = 1 }}"), "Values"),
        (&format!("{login}[refresh_token]\ncolour = 1"), "`[refresh_token]`"),
        (&format!("{login}[answer]\ncolour = 1"), "`[answer]`"),
        (&format!("{login}[answer.expires]\ncolour = 1"), "`[answer.expires]`"),
        (&format!("{login}[success]\ncolour = 1"), "Conditions"),
        (&format!("{login}[[refusal]]\ncolour = 1"), "`[[refusal]]`"),
        (&format!("{login}[schedule]\ncolour = 1"), "`[schedule]`"),
        (&format!("{login}[api]\ncolour = 1"), "`[api]`"),
    ] {
        let error = place.parse::<Profile>().unwrap_err().to_string();
        let (_, fields) = error
            .split_once("unknown field `colour`, expected ")
            .unwrap_or_else(|| panic!("{error}"));
        let section =
            PAGE.split("\n## ").find(|section| section.starts_with(&format!("{heading}\n")));
        let section = section.unwrap_or_else(|| panic!("no section {heading}"));
        let fields: Vec<_> = fields.split('`').skip(1).step_by(2).collect();
        assert!(!fields.is_empty());
        for field in fields {
            assert!(section.contains(&format!("\n| `{field}` |")), "{heading}: {field}");
        }
    }
}

#[test]
fn every_shipped_profile_is_named_in_the_documentation() {
    for (name, _) in SHIPPED {
        assert!(PAGE.contains(&format!("\n| `{name}` |")), "{name}");
    }
}
