//! `POST /_matrix/client/v3/createRoom`

use actions::create_room::{Ask, InitialState, Preset};
use ruma::api::client::room::Visibility;
use ruma::api::client::room::create_room::v3::{Request, Response, RoomPreset};
use ruma::serde::Raw;
use serde::Deserialize;
use serde_json::{Map, Value};
use web::{Authed, Matrix, Reply};

use crate::App;
use crate::json::{object, read};

/// Makes a room and answers its ID.
pub(crate) async fn post(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    let room_id = actions::create_room(&app.house, &who, wanted(ask)?).await?;
    Ok(Response::new(room_id))
}

fn wanted(ask: Request) -> Result<Ask, web::Error> {
    if !ask.invite_3pid.is_empty() {
        return Err(web::Error::third_party_ids_not_supported());
    }
    Ok(Ask {
        creation_content: optional_object(ask.creation_content.as_ref(), "creation_content")?,
        initial_state: ask
            .initial_state
            .iter()
            .map(initial_state)
            .collect::<Result<_, _>>()?,
        invite: ask.invite,
        is_direct: ask.is_direct,
        name: ask.name,
        power_levels: optional_object(
            ask.power_level_content_override.as_ref(),
            "power_level_content_override",
        )?,
        preset: ask.preset.map(|preset| chosen(&preset)).transpose()?,
        alias: ask.room_alias_name,
        version: ask.room_version,
        topic: ask.topic,
        public: ask.visibility == Visibility::Public,
    })
}

fn optional_object<T>(
    raw: Option<&Raw<T>>,
    name: &'static str,
) -> Result<Map<String, Value>, web::Error> {
    raw.map_or_else(|| Ok(Map::new()), |raw| object(raw.json(), name))
}

fn chosen(preset: &RoomPreset) -> Result<Preset, web::Error> {
    match preset {
        RoomPreset::PrivateChat => Ok(Preset::PrivateChat),
        RoomPreset::PublicChat => Ok(Preset::PublicChat),
        RoomPreset::TrustedPrivateChat => Ok(Preset::TrustedPrivateChat),
        other => Err(web::Error::invalid_param(format!(
            "there is no preset {other}"
        ))),
    }
}

fn initial_state<T>(raw: &Raw<T>) -> Result<InitialState, web::Error> {
    #[derive(Deserialize)]
    struct Piece {
        #[serde(rename = "type")]
        event_type: String,
        #[serde(default)]
        state_key: String,
        content: Map<String, Value>,
    }
    let Piece {
        event_type,
        state_key,
        content,
    } = read(raw.json(), "initial_state")?;
    Ok(InitialState {
        event_type,
        state_key,
        content: Value::Object(content),
    })
}
