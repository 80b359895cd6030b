//! Who could see what of a message, by the way it took: the words of chapter 11's table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Who could see what of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PrivacyView {
    /// One sentence.
    pub words: String,
    /// Each observer with what it saw.
    pub seen: Vec<SeenView>,
}

/// What one observer saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SeenView {
    /// Who.
    pub who: Observer,
    /// Which relay, 64 hex digits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub relay: Option<String>,
    /// What, in the order of [`Trace`].
    pub sees: Vec<Trace>,
}

/// Who may see something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Observer {
    /// The contact.
    Contact,
    /// Whoever carries the bytes of a direct connection.
    NetworkBetween,
    /// Whoever carries the bytes between one of the two and a relay.
    NetworkToRelay,
    /// The relay that keeps the message.
    Relay,
    /// A relay that only brings the confirmation back.
    ConfirmingRelay,
    /// A rendezvous server that was asked where the contact is.
    Rendezvous,
}

/// What may be seen of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Trace {
    /// What it says.
    Content,
    /// Who wrote it.
    Sender,
    /// For whom it is.
    Recipient,
    /// The network address of who wrote it.
    SenderAddress,
    /// The network address of whom it is for.
    RecipientAddress,
    /// Its size, as one of seven.
    SizeBucket,
    /// When.
    Time,
}

impl Observer {
    /// What it sees, by the table of chapter 11.
    pub const fn sees(self) -> &'static [Trace] {
        use Trace::{
            Content, Recipient, RecipientAddress, Sender, SenderAddress, SizeBucket, Time,
        };
        match self {
            Self::Contact => &[Content, Sender, Recipient, SizeBucket, Time],
            Self::NetworkBetween => &[SenderAddress, RecipientAddress, SizeBucket, Time],
            Self::NetworkToRelay => &[SenderAddress, SizeBucket, Time],
            Self::Relay => &[
                Sender,
                Recipient,
                SenderAddress,
                RecipientAddress,
                SizeBucket,
                Time,
            ],
            Self::ConfirmingRelay => &[Sender, Recipient, SenderAddress, Time],
            Self::Rendezvous => &[Sender, Recipient, SenderAddress, RecipientAddress],
        }
    }
}

/// The ways by which a message went, or was handed on its way.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    /// Over a connection between the two, or given to one.
    pub direct: bool,
    /// Relays that have it or had it, 64 hex digits.
    pub relays: Vec<String>,
    /// The relay that brought the confirmation, 64 hex digits.
    pub confirmed_by: Option<String>,
    /// A rendezvous server has said where the contact is.
    pub rendezvous: bool,
    /// The contact is not known to have it.
    pub waits: bool,
    /// This home is a screen, which does not know the relays and servers.
    pub screen: bool,
}

/// Who could see what of a message that went by these ways.
pub fn privacy(ways: &Ways) -> PrivacyView {
    let mut seen: BTreeMap<(Observer, Option<&str>), Vec<Trace>> = BTreeMap::new();
    let mut add = |who: Observer, relay| {
        seen.insert((who, relay), who.sees().to_vec());
    };
    if !ways.waits || ways.direct {
        add(Observer::Contact, None);
    }
    if ways.direct {
        add(Observer::NetworkBetween, None);
    }
    for relay in &ways.relays {
        add(Observer::NetworkToRelay, None);
        add(Observer::Relay, Some(relay));
    }
    let confirming = ways.confirmed_by.iter();
    for relay in confirming.filter(|relay| !ways.relays.contains(relay)) {
        add(Observer::ConfirmingRelay, Some(relay));
    }
    if ways.rendezvous {
        add(Observer::Rendezvous, None);
    }
    // who is connected to another learns the other's address beside what stands in the table
    if let Some(sees) = seen
        .get_mut(&(Observer::Contact, None))
        .filter(|_| ways.direct)
    {
        sees.insert(3, Trace::SenderAddress);
    }
    let seen = seen.into_iter().map(|((who, relay), sees)| SeenView {
        who,
        relay: relay.map(str::to_owned),
        sees,
    });
    PrivacyView {
        words: words(ways),
        seen: seen.collect(),
    }
}

fn words(ways: &Ways) -> String {
    let readers = match (ways.waits, ways.direct) {
        (true, false) => "nobody but you can read it, as far as is known here",
        (true, true) => {
            "only the two of you can read it: it has left over a direct connection, and your contact \
             may have it and has not confirmed it"
        }
        (false, _) => "only the two of you can read it",
    };
    let relays = match ways.relays.len() {
        0 => None,
        1 => Some("the relay sees"),
        _ => Some("each relay sees"),
    };
    let relays = relays.map(|who| {
        format!(
            "{who} who writes to whom, when, about how much, and both your addresses; neither of \
             you sees the other's"
        )
    });
    let direct = ways.direct.then(|| {
        "you see each other's addresses, and so do the networks between, with time and about how \
         much, not who you are"
            .to_owned()
    });
    let rendezvous = ways
        .rendezvous
        .then(|| "a rendezvous server was asked for the contact, by your address".to_owned());
    let confirming = ways.confirmed_by.as_ref();
    let confirming = confirming.filter(|relay| !ways.relays.contains(relay));
    let confirming = confirming.map(|_| {
        "the relay that brought the confirmation sees who writes to whom, when, and your address"
            .to_owned()
    });
    let mut parts = vec![readers.to_owned()];
    if ways.screen {
        parts.push(
            "the relays and servers that had it its home knows, and not this screen".to_owned(),
        );
    } else if ways.waits && relays.is_none() && !ways.direct {
        parts.push("no relay has answered for it, so it may not have left this device".to_owned());
    }
    // by both ways: what the relay hides the connection shows
    let relays = relays.map(|text| match ways.direct {
        true => text.replace("; neither of you sees the other's", ""),
        false => text,
    });
    let told = relays.into_iter().chain(confirming);
    parts.extend(told.chain(direct).chain(rendezvous));
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of a thing in JSON, as the table of the chapter has it.
    fn name(thing: impl Serialize) -> String {
        let json = serde_json::to_value(thing).unwrap();
        json.as_str().unwrap().to_owned()
    }

    #[test]
    fn what_each_observer_sees_stands_in_chapter_11() {
        const OBSERVERS: [Observer; 6] = [
            Observer::Contact,
            Observer::NetworkBetween,
            Observer::NetworkToRelay,
            Observer::Relay,
            Observer::ConfirmingRelay,
            Observer::Rendezvous,
        ];
        let chapter = include_str!("../../../../docs/protocol/11-threats.md");
        let (_, table) = chapter.split_once("## 11.2 ").unwrap();
        let rows = table.lines().filter(|line| line.starts_with("| `"));
        let rows: Vec<Vec<&str>> = rows
            .map(|row| row.split('`').skip(1).step_by(2).collect())
            .collect();
        let expected: Vec<Vec<String>> = OBSERVERS
            .into_iter()
            .map(|who| {
                std::iter::once(name(who))
                    .chain(who.sees().iter().map(name))
                    .collect()
            })
            .collect();
        assert_eq!(rows, expected);
    }

    /// Whether a row of the table counts, by its words on when.
    fn counts(when: &str, ways: &Ways) -> bool {
        let another = |relay: &String| !ways.relays.contains(relay);
        match when {
            "once it has it, or was given it over a direct connection" => {
                !ways.waits || ways.direct
            }
            "direct connection" => ways.direct,
            "by a relay" => !ways.relays.is_empty(),
            "by a relay, from its receipt on; with no receipt, whoever confirms" => {
                !ways.relays.is_empty()
            }
            "the confirmation comes by another relay" => ways.confirmed_by.iter().any(another),
            "a server has told where the contact is" => ways.rendezvous,
            other => panic!("{other}"),
        }
    }

    /// Every way there is: direct or not, by none to two relays, confirmed by none, one of them or
    /// another, found by a server or not, arrived or not.
    fn every_way() -> Vec<Ways> {
        let mut all = Vec::new();
        for n in 0..2 * 3 * 3 * 2 * 2_usize {
            let relays = ["ab", "cd"].into_iter().take(n / 2 % 3);
            let relays: Vec<String> = relays.map(str::to_owned).collect();
            all.push(Ways {
                direct: n % 2 == 1,
                confirmed_by: match n / 6 % 3 {
                    0 => None,
                    1 => relays.last().cloned(),
                    _ => Some("ef".to_owned()),
                },
                relays,
                rendezvous: n / 18 % 2 == 1,
                waits: n / 36 == 1,
                screen: false,
            });
        }
        all
    }

    #[test]
    fn of_every_way_those_see_something_whom_the_table_of_chapter_11_names() {
        let chapter = include_str!("../../../../docs/protocol/11-threats.md");
        let (_, table) = chapter.split_once("## 11.2 ").unwrap();
        let rows = table.lines().filter(|line| line.starts_with("| `"));
        let rows: Vec<Vec<&str>> = rows.map(|row| row.split(" | ").collect()).collect();
        for ways in every_way() {
            let mut expected = Vec::new();
            for row in rows.iter().filter(|row| counts(row[1], &ways)) {
                let who = row[0].trim_matches(|c| "|` ".contains(c));
                let sees = row[2].split('`').skip(1).step_by(2);
                let mut sees: Vec<String> = sees.map(str::to_owned).collect();
                if who == "contact" && ways.direct {
                    assert!(row[2].contains("directly connected also the sender's address"));
                    sees.insert(3, "sender-address".to_owned());
                }
                let relays: Vec<Option<String>> = match who {
                    "relay" => ways.relays.iter().cloned().map(Some).collect(),
                    "confirming-relay" => vec![ways.confirmed_by.clone()],
                    _ => vec![None],
                };
                expected.extend(
                    relays
                        .into_iter()
                        .map(|of| (who.to_owned(), of, sees.clone())),
                );
            }
            let told = privacy(&ways).seen.into_iter().map(|seen| {
                let sees = seen.sees.iter().map(name).collect();
                (name(seen.who), seen.relay, sees)
            });
            let told: Vec<(String, Option<String>, Vec<String>)> = told.collect();
            assert_eq!(told, expected, "{ways:?}");
        }
    }

    #[test]
    fn the_words_on_every_way_name_who_sees_something_and_nobody_else() {
        for ways in every_way() {
            let view = privacy(&ways);
            let says = |words: &str| view.words.contains(words);
            let seen = |who| view.seen.iter().filter(|seen| seen.who == who).count();
            let some = |who| seen(who) > 0;
            let relays = seen(Observer::Relay);
            assert_eq!(
                says("only the two of you"),
                some(Observer::Contact),
                "{view:?}"
            );
            assert_eq!(says("nobody but you"), !some(Observer::Contact), "{view:?}");
            assert_eq!(says("; the relay sees"), relays == 1, "{view:?}");
            assert_eq!(says("; each relay sees"), relays == 2, "{view:?}");
            assert_eq!(
                says("the relay that brought the confirmation"),
                some(Observer::ConfirmingRelay),
                "{view:?}"
            );
            let direct = some(Observer::NetworkBetween);
            assert_eq!(says("the networks between"), direct, "{view:?}");
            assert_eq!(
                says("a rendezvous server"),
                some(Observer::Rendezvous),
                "{view:?}"
            );
            assert_eq!(says("neither of you"), relays > 0 && !direct, "{view:?}");
            let here = ways.waits && relays == 0 && !direct;
            assert_eq!(says("may not have left this device"), here, "{view:?}");
            let unconfirmed = ways.waits && direct;
            assert_eq!(says("may have it"), unconfirmed, "{view:?}");
        }
    }

    #[test]
    fn nobody_but_the_contact_reads_and_a_relay_hides_addresses_from_it() {
        let relay = "ab".repeat(32);
        let ways = Ways {
            relays: vec![relay.clone()],
            confirmed_by: Some("cd".repeat(32)),
            ..Ways::default()
        };
        let view = privacy(&ways);
        for seen in &view.seen {
            let reads = seen.sees.contains(&Trace::Content);
            assert_eq!(reads, seen.who == Observer::Contact, "{seen:?}");
        }
        assert!(!view.seen[0].sees.contains(&Trace::SenderAddress));
        let relays = view.seen.iter().filter(|seen| seen.relay.is_some());
        let relays: Vec<_> = relays.map(|seen| seen.who).collect();
        assert_eq!(relays, [Observer::Relay, Observer::ConfirmingRelay]);
        let both = privacy(&Ways {
            direct: true,
            ..ways
        });
        assert!(both.seen[0].sees.contains(&Trace::SenderAddress));
        assert!(
            both.words.contains("each other's addresses"),
            "{}",
            both.words
        );
        assert!(!both.words.contains("neither"), "{}", both.words);
    }

    #[test]
    fn what_waits_here_was_seen_by_nobody() {
        let waits = |relays: &[&str]| {
            privacy(&Ways {
                waits: true,
                relays: relays.iter().map(|r| (*r).to_owned()).collect(),
                ..Ways::default()
            })
        };
        let here = waits(&[]);
        assert!(
            here.seen.is_empty() && here.words.contains("not have left"),
            "{here:?}"
        );
        let there = waits(&["ab"]);
        assert!(there.seen.iter().all(|seen| seen.who != Observer::Contact));
        assert!(there.words.starts_with("nobody but you"), "{}", there.words);
    }
}
