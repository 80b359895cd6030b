//! The play: what two people do with each other, and what must hold after each step.

use std::{collections::HashSet, path::Path};

use sremp_client::{
    card,
    client::Face,
    view::{
        CommandError, MessageKind, MessageView, Path as Way, Standing, Status, Trust, VerifiedVia,
        Wait,
    },
};

use super::{
    bot::{Bot, ECHO},
    found,
    person::{Person, broken},
    relayed,
    report::Report,
};
use crate::cli::Failure;

/// What Ann calls the bot.
pub(super) const BOT: &str = "echo";

/// A link that may be pasted into a message (product.md: at most 400 characters).
const LONGEST_LINK: usize = 400;

const FIRST: &str = "Hello Ben, this goes straight from my process to yours.";
const SECOND: &str = "Hello Ann, and back. Nobody in between.";
const WHILE_AWAY: [&str; 3] = ["Are you there?", "I will just go on.", "You read it later."];
const BACK: &str = "I am back, and all of it is here.";

/// Who plays, and who is on stage.
pub(super) struct Play<'a> {
    stage: &'a Path,
    ann: Option<Person>,
    ben: Option<Person>,
    bot: Option<Bot>,
}

/// The two people of a play that has begun.
struct Pair<'a> {
    ann: &'a mut Person,
    ben: &'a mut Person,
}

impl<'a> Play<'a> {
    pub(super) fn new(stage: &'a Path) -> Self {
        Self {
            stage,
            ann: None,
            ben: None,
            bot: None,
        }
    }

    /// All steps, one after the other.
    ///
    /// # Errors
    /// The first that does not hold.
    pub(super) fn perform(&mut self, report: &mut Report) -> Result<(), Failure> {
        report.step("Three identities on this machine: Ann, Ben and an echo bot")?;
        let ann = self.ann.insert(Person::new("Ann", self.stage)?);
        let ben = self.ben.insert(Person::new("Ben", self.stage)?);
        let bot = Person::new("Echo", self.stage)?;
        let bots_card = identities(report, [ann, ben, &bot])?;
        if let Some(face) = bot.into_face() {
            self.bot = Some(Bot::start(face));
        }

        let mut pair = Pair { ann, ben };
        pair.add_each_other(report)?;
        pair.verify(report)?;
        pair.message_each_way(report)?;
        pair.restart(report)?;
        pair.compare_histories(report)?;
        pair.talk_to_the_bot(report, &bots_card)?;
        found::play(report, self.stage)?;
        relayed::play(report, self.stage)
    }

    /// Ann's client, for the conversation after the play.
    pub(super) fn ann_face(&self) -> Result<&Face, CommandError> {
        match &self.ann {
            Some(ann) => ann.face(),
            None => Err(broken("Ann never came".to_owned())),
        }
    }

    /// Sends everybody home.
    pub(super) fn end(self) {
        for mut person in [self.ann, self.ben].into_iter().flatten() {
            person.sleep();
        }
        if let Some(bot) = self.bot {
            bot.stop();
        }
    }
}

/// Everybody has a key of their own and listens; returns the card of the last.
fn identities(report: &mut Report, people: [&Person; 3]) -> Result<String, Failure> {
    let mut ids = HashSet::new();
    let mut card = String::new();
    for person in people {
        let id = person.id()?;
        let address = person.listening.clone().unwrap_or_default();
        let real = address.starts_with("127.0.0.1:") && !address.ends_with(":0");
        let what = format!(
            "{} is {}… and listens on {address}",
            person.name, id.safety_prefix
        );
        report.check(real && id.username == person.name, what)?;
        ids.insert(id.id);
        card = id.card;
    }
    report.check(
        ids.len() == people.len(),
        "every identity has a key of its own",
    )?;
    Ok(card)
}

impl Pair<'_> {
    fn add_each_other(&self, report: &mut Report) -> Result<(), Failure> {
        report.step("They exchange cards and add each other: trust on first use")?;
        for (who, other, alias) in [
            (&*self.ann, &*self.ben, "ben"),
            (&*self.ben, &*self.ann, "ann"),
        ] {
            let theirs = other.id()?;
            let read = card::read(&theirs.card)?;
            report.check(
                read.id == theirs.id && read.endpoints.iter().cloned().eq(other.listening.clone()),
                format!(
                    "{}'s card names key {}… and its address",
                    other.name, theirs.safety_prefix
                ),
            )?;
            report.check(
                theirs.card.len() <= LONGEST_LINK,
                format!("as a link it has {} characters", theirs.card.len()),
            )?;
            let added = who.add(&theirs.card, alias)?;
            report.check(
                added.id == theirs.id
                    && added.standing == Standing::Accepted
                    && added.trust == Trust::Unknown
                    && added.verified_via == VerifiedVia::None,
                format!(
                    "{} added {}: trust unknown, and usable",
                    who.name, other.name
                ),
            )?;
        }
        Ok(())
    }

    fn verify(&self, report: &mut Report) -> Result<(), Failure> {
        report.step("They compare the safety number, as over a call")?;
        let anns = self.ann.verify("ben", None)?.safety_number;
        let bens = self.ben.verify("ann", None)?.safety_number;
        let digits = anns.chars().filter(char::is_ascii_digit).count();
        report.check(digits == 60 && anns == bens, format!("both see {anns}"))?;
        for (who, alias, number) in [(&*self.ann, "ben", bens), (&*self.ben, "ann", anns)] {
            let compared = who.verify(alias, Some(number))?;
            let contact = who.contact(alias)?;
            report.check(
                compared.matches == Some(true)
                    && contact.trust == Trust::Trusted
                    && contact.verified_via == VerifiedVia::Number,
                format!("{} now trusts {alias}, verified by number", who.name),
            )?;
        }
        Ok(())
    }

    fn message_each_way(&mut self, report: &mut Report) -> Result<(), Failure> {
        report.step("A message each way, with delivery confirmed")?;
        deliver(report, self.ann, self.ben, "ben", FIRST)?;
        deliver(report, self.ben, self.ann, "ann", SECOND)
    }

    fn restart(&mut self, report: &mut Report) -> Result<(), Failure> {
        report.step("Ben's client ends in the middle of the conversation and starts again")?;
        self.ben.sleep();
        let mut sent = Vec::new();
        for text in WHILE_AWAY {
            let view = self.ann.send("ben", text, Wait::Outbox)?;
            report.check(
                view.status == Status::Queued,
                format!("Ann writes {text:?}: queued"),
            )?;
            sent.push(view.msg_id);
        }
        let queued = self.ann.contact("ben")?.queued;
        report.check(
            queued == 3,
            format!("{queued} messages wait in Ann's outbox"),
        )?;

        self.ben.wake()?;
        for (text, msg_id) in WHILE_AWAY.iter().zip(&sent) {
            self.ben.until_message(text)?;
            self.ann.until_on_device(msg_id)?;
        }
        let heard = self.ben.heard();
        let last: Vec<&str> = heard.iter().rev().take(3).rev().copied().collect();
        report.check(
            last == WHILE_AWAY,
            "Ben is back and has all three, in order",
        )?;
        let queued = self.ann.contact("ben")?.queued;
        report.check(
            queued == 0,
            "all three are confirmed, and the outbox is empty",
        )?;
        deliver(report, self.ben, self.ann, "ann", BACK)
    }

    fn compare_histories(&self, report: &mut Report) -> Result<(), Failure> {
        report.step("Both histories hold every message exactly once, in order")?;
        let said: Vec<(&str, &str)> = [("Ann", FIRST), ("Ben", SECOND)]
            .into_iter()
            .chain(WHILE_AWAY.map(|text| ("Ann", text)))
            .chain([("Ben", BACK)])
            .collect();
        for (who, other, alias) in [(&*self.ann, "Ben", "ben"), (&*self.ben, "Ann", "ann")] {
            let history = who.history(alias)?;
            let kept = lines(&history, who.name, other);
            report.check(
                kept == said,
                format!("{}'s history: {} messages", who.name, kept.len()),
            )?;
        }
        Ok(())
    }

    fn talk_to_the_bot(&mut self, report: &mut Report, card: &str) -> Result<(), Failure> {
        report.step("A stranger to the bot asks, is accepted, and gets an answer")?;
        let ann = &mut *self.ann;
        let bot = ann.add(card, BOT)?;
        let bots_id = bot.id;
        ann.send(BOT, "May I?", Wait::Outbox)?;
        ann.until("the bot to accept", |seen| {
            use sremp_client::view::EventKind::{Accepted, Message};
            seen.iter().find_map(|event| match &event.event {
                Accepted { from, .. } | Message { from, .. } if *from == bots_id => Some(()),
                _ => None,
            })
        })?;
        report.check(true, "the bot accepted Ann's request")?;
        let text = "Is anybody there?";
        ann.send(BOT, text, Wait::Outbox)?;
        let (from, path) = ann.until_message(&format!("{ECHO}{text}"))?;
        report.check(
            from == bots_id && path == Way::Direct,
            format!("Ann wrote {text:?} and the bot answered, directly"),
        )
    }
}

/// One message, from the prompt to the confirmation.
fn deliver(
    report: &mut Report,
    from: &mut Person,
    to: &mut Person,
    alias: &str,
    text: &str,
) -> Result<(), Failure> {
    let sent = from.send(alias, text, Wait::Device)?;
    let (sender, path) = to.until_message(text)?;
    report.check(
        sender == from.id()?.id && path == Way::Direct,
        format!("{} reads {text:?}", to.name),
    )?;
    report.check(
        sent.status == Status::OnDevice && sent.path == Some(Way::Direct),
        format!(
            "{} knows that it is on {}'s device, by the direct path",
            from.name, to.name
        ),
    )
}

/// A history as who said what; notices are the client's own lines.
fn lines<'h>(history: &'h [MessageView], own: &'h str, other: &'h str) -> Vec<(&'h str, &'h str)> {
    let said = history.iter().filter_map(|message| match message.kind {
        MessageKind::Sent => Some((own, message.text.as_str())),
        MessageKind::Received => Some((other, message.text.as_str())),
        MessageKind::Notice => None,
    });
    said.collect()
}
