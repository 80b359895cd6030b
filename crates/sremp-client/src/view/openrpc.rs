//! The OpenRPC document, made from the types of this module, and the proof that the one that is
//! checked in is that one. `SREMP_WRITE=1` with this test writes it anew.

use std::{collections::BTreeSet, path::Path};

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

use super::*;

impl JsonSchema for Rfc3339 {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339, UTC, with milliseconds."
        })
    }
}

/// As [`Trust`], which is the core's.
#[derive(JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Trust")]
pub(super) enum TrustWord {
    Unknown,
    Trusted,
    Rejected,
}

/// As [`VerifiedVia`], which is the core's.
#[derive(JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "VerifiedVia")]
pub(super) enum VerifiedWord {
    None,
    Qr,
    Number,
}

/// As [`Choice`], which is the core's.
#[derive(JsonSchema, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Choice")]
pub(super) enum ChoiceWord {
    #[default]
    Default,
    On,
    Off,
}

/// Which view answers which method.
fn result(method: &str, schemas: &mut SchemaGenerator) -> Schema {
    match method {
        "id" | "rotate_noise_key" => schemas.subschema_for::<IdView>(),
        "invite" => schemas.subschema_for::<InviteView>(),
        "add" | "set_trust" | "set_direct" => schemas.subschema_for::<ContactView>(),
        "verify" => schemas.subschema_for::<VerifyView>(),
        "send" | "act" => schemas.subschema_for::<SentView>(),
        "status" => schemas.subschema_for::<StatusView>(),
        "why" => schemas.subschema_for::<WhyView>(),
        "doctor" => schemas.subschema_for::<DoctorView>(),
        "backup" => schemas.subschema_for::<BackupView>(),
        "find" => schemas.subschema_for::<FoundView>(),
        "browse" => schemas.subschema_for::<BrowseView>(),
        "servers" => schemas.subschema_for::<ServersView>(),
        "register" => schemas.subschema_for::<RegisterView>(),
        "subscribe" => schemas.subschema_for::<SubscribedView>(),
        "invites" => list::<InviteView>(schemas, "invites"),
        "contacts" => list::<ContactView>(schemas, "contacts"),
        "events" => {
            let mut page = list::<Event>(schemas, "events");
            page.as_object_mut().unwrap()["properties"]["upto"] = json!({
                "type": "integer",
                "description": "The number up to which this tells: ask for those after it."
            });
            page
        }
        "history" | "search" => list::<MessageView>(schemas, "messages"),
        "revoke_invite" | "erase" | "unsubscribe" | "ack" | "stop" => {
            json_schema!({ "type": "object" })
        }
        other => panic!("which view answers {other}?"),
    }
}

fn list<T: JsonSchema>(schemas: &mut SchemaGenerator, name: &str) -> Schema {
    let items = schemas.subschema_for::<T>();
    json_schema!({
        "type": "object",
        "properties": { name: { "type": "array", "items": items } },
        "required": [name]
    })
}

fn method(of: &Value, schemas: &mut SchemaGenerator) -> Value {
    let properties = &of["properties"];
    let name = properties["method"]["const"].as_str().unwrap();
    let required = properties["params"]["required"].as_array();
    let required = |param: &String| required.is_some_and(|all| all.contains(&json!(param)));
    let params = properties["params"]["properties"].as_object();
    let param = |(name, schema): (&String, &Value)| json!({ "name": name, "required": required(name), "schema": schema });
    // those that have to be given come first, as OpenRPC wants it
    let mut params: Vec<Value> = params.into_iter().flatten().map(param).collect();
    params.sort_by_key(|param| param["required"] == false);
    json!({
        "name": name,
        "summary": of["description"],
        "paramStructure": "by-name",
        "params": params,
        "result": { "name": "result", "schema": result(name, schemas) }
    })
}

fn document() -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.definitions_path = "/components/schemas".into();
    let mut schemas = settings.into_generator();
    let commands = Command::json_schema(&mut schemas).to_value();
    let commands = commands["oneOf"].as_array().unwrap();
    let methods: Vec<Value> = commands.iter().map(|c| method(c, &mut schemas)).collect();
    let event = schemas.subschema_for::<Event>();
    let kind = schemas.subschema_for::<ErrorKind>();
    let components: Map<String, Value> = schemas.take_definitions(true);
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "sremp",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The running client of a home, on its socket or on the standard input and \
                            output of `sremp rpc`: JSON-RPC 2.0, one object or batch a line. The errors \
                            of commands have codes from -32001 on and say their kind in `data`."
        },
        "methods": methods,
        "x-notifications": [{
            "name": "event",
            "summary": "Something that happened; to whoever subscribed.",
            "params": event
        }],
        "x-error-data": { "type": "object", "properties": { "kind": kind }, "required": ["kind"] },
        "components": { "schemas": components }
    })
}

#[test]
fn the_document_that_is_checked_in_describes_these_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/use/openrpc.json");
    let made = format!("{:#}\n", document());
    if std::env::var_os("SREMP_WRITE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == made,
        "docs/use/openrpc.json is of other types than these; write it with \
         `SREMP_WRITE=1 cargo test -p sremp-client openrpc`"
    );
}

#[test]
fn every_method_is_known_by_its_name_and_described() {
    let document = document();
    let methods = document["methods"].as_array().unwrap();
    let named: BTreeSet<&str> = methods
        .iter()
        .map(|m| m["name"].as_str().unwrap())
        .collect();
    assert_eq!(named, BTreeSet::from(Command::METHODS));
    for method in methods {
        let said = |of: &Value| of.as_str().is_some_and(|text| !text.is_empty());
        assert!(said(&method["summary"]), "{method}");
        for param in method["params"].as_array().unwrap() {
            assert!(said(&param["schema"]["description"]), "{method}");
        }
    }
}

#[test]
fn the_words_of_the_core_are_those_of_the_document() {
    fn words<T: JsonSchema>() -> Vec<Value> {
        let schema = SchemaSettings::draft07()
            .into_generator()
            .into_root_schema_for::<T>();
        let schema = schema.to_value();
        let plain = schema["enum"].as_array().cloned().unwrap_or_default();
        let said = schema["oneOf"].as_array().into_iter().flatten();
        let said = said.map(|one| one["const"].clone());
        plain.into_iter().chain(said).collect()
    }
    let trust = [Trust::Unknown, Trust::Trusted, Trust::Rejected];
    assert_eq!(words::<TrustWord>(), trust.map(|t| json!(t)));
    let via = [VerifiedVia::None, VerifiedVia::Qr, VerifiedVia::Number];
    assert_eq!(words::<VerifiedWord>(), via.map(|v| json!(v)));
    let choice = [Choice::Default, Choice::On, Choice::Off];
    assert_eq!(words::<ChoiceWord>(), choice.map(|c| json!(c)));
}
