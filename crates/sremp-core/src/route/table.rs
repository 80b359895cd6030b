//! The table of section 7.3, made from every state, and the proof that the one in the document is that
//! one. `SREMP_WRITE=1` with this test writes it anew.

use std::path::Path;

use super::{
    DIRECT_LEAD, Dial, Link, Place, Plan, Policy, Seek, State, Store, Wish,
    tests::{LINKS, PLACES, POLICIES, WISHES},
};

const BEGIN: &str = "<!-- written from sremp-core/src/route.rs: begin -->\n";
const END: &str = "<!-- written from sremp-core/src/route.rs: end -->\n";
const RELAYS: [bool; 2] = [true, false];

/// What the columns of a state are called, and the words for their values.
fn columns() -> [(&'static str, Vec<&'static str>); 5] {
    let links = LINKS.map(|link| match link {
        Link::None => "none",
        Link::Answers => "answers",
        Link::Silent => "silent",
    });
    let relays = RELAYS.map(|known| if known { "known" } else { "none" });
    let policies = POLICIES.map(|policy| match policy {
        Policy::Allowed => "allowed",
        Policy::OffByChoice => "off for the contact",
        Policy::OffBySetting => "off by the setting",
    });
    let wishes = WISHES.map(|wish| match wish {
        Wish::Nobody => "nobody",
        Wish::Own => "oneself",
        Wish::Contact => "the contact",
    });
    let places = PLACES.map(|place| match place {
        Place::None => "none",
        Place::Ready => "known",
        Place::Failed => "failed",
    });
    [
        ("connection", links.to_vec()),
        ("relay", relays.to_vec()),
        ("direct", policies.to_vec()),
        ("wish for relays", wishes.to_vec()),
        ("place", places.to_vec()),
    ]
}

fn words(plan: Plan) -> Vec<String> {
    let after_lead = format!("after {} ms", DIRECT_LEAD.as_millis());
    let words = [
        match plan.over_link {
            true => "everything",
            false => "–",
        },
        match plan.dial {
            Dial::Never => "–",
            Dial::Now => "at once",
            Dial::AfterPause => "after its pause",
        },
        match plan.store {
            Store::Never => "–",
            Store::Now => "at once",
            Store::AfterLead => &after_lead,
        },
        match plan.seek {
            Seek::Never => "–",
            Seek::AfterFailure => "when that fails",
            Seek::Now => "at once",
        },
    ];
    words.map(str::to_owned).to_vec()
}

fn plan(at: &[usize]) -> Plan {
    let &[link, relay, policy, wish, place] = at else {
        panic!("{at:?}");
    };
    let state = State {
        link: LINKS[link],
        relay: RELAYS[relay],
        policy: POLICIES[policy],
        wish: WISHES[wish],
        place: PLACES[place],
    };
    state.plan()
}

/// The rows below some values of the first columns: values with the same rows are one row.
fn rows(columns: &[(&str, Vec<&str>)], at: &[usize]) -> Vec<Vec<String>> {
    let Some((_, values)) = columns.get(at.len()) else {
        return vec![words(plan(at))];
    };
    let mut groups: Vec<(Vec<&str>, Vec<Vec<String>>)> = Vec::new();
    for (n, value) in values.iter().enumerate() {
        let below = rows(columns, &[at, &[n]].concat());
        match groups.iter_mut().find(|(_, rows)| *rows == below) {
            Some((same, _)) => same.push(value),
            None => groups.push((vec![value], below)),
        }
    }
    let mut merged = Vec::new();
    for (same, below) in groups {
        let any = same.len() == values.len();
        let label = if any {
            "any".to_owned()
        } else {
            same.join(", ")
        };
        merged.extend(below.into_iter().map(|row| {
            let first = std::iter::once(label.clone());
            first.chain(row).collect::<Vec<_>>()
        }));
    }
    merged
}

fn table() -> String {
    let columns = columns();
    let done = ["over the connection", "dialled", "to a relay", "looked for"];
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).chain(done).collect();
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let rule = format!("{}|\n", "|---".repeat(names.len()));
    let rows: String = rows(&columns, &[]).iter().map(|row| line(row)).collect();
    format!("{}{rule}{rows}", line(&names))
}

#[test]
fn the_table_of_the_document_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol/07-paths.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("a place for the table");
    let (there, after) = rest.split_once(END).expect("an end of the table");
    let made = table();
    if std::env::var_os("SREMP_WRITE").is_some() {
        std::fs::write(&path, [before, BEGIN, &made, END, after].concat()).unwrap();
        return;
    }
    assert!(
        there == made,
        "docs/protocol/07-paths.md has another table than this; write it with \
         `SREMP_WRITE=1 cargo test -p sremp-core route`:\n{made}"
    );
}

#[test]
fn every_state_is_in_one_row_which_says_what_is_done() {
    let columns = columns();
    let rows = rows(&columns, &[]);
    let mut states = vec![Vec::new()];
    for (_, values) in &columns {
        let longer = |state: &Vec<usize>| {
            let next = |n| [state.as_slice(), &[n]].concat();
            (0..values.len()).map(next).collect::<Vec<_>>()
        };
        states = states.iter().flat_map(longer).collect();
    }
    assert_eq!(states.len(), 162);
    for state in states {
        let is_in = |row: &&Vec<String>| {
            let mut cells = columns.iter().zip(&state).zip(row.iter());
            cells.all(|(((_, values), n), cell)| {
                cell == "any" || cell.split(", ").any(|one| one == values[*n])
            })
        };
        let found: Vec<_> = rows.iter().filter(is_in).collect();
        assert_eq!(found.len(), 1, "{state:?}");
        assert_eq!(found[0][columns.len()..], words(plan(&state)), "{state:?}");
    }
}
