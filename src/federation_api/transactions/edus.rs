//! What is not kept in rooms' graphs: typing, receipts, presence, device lists, messages to devices (SS "EDUs"). Each is believed only about users of
//! the server that sent it. One that makes no sense is passed over; one that cannot be stored fails the transaction, so that it comes again.

use std::collections::BTreeMap;

use actions::remote_devices;
use rooms::ReceiptEdu;
use ruma::presence::PresenceState;
use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, UserId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use users::presence::RemotePresence;
use users::remote_devices::{RemoteChange, RemoteDevice};
use users::to_device::{Messages, Once};
use web::Error;

use crate::App;

/// Most users whose presence one EDU may tell.
const PRESENCES: usize = 500;
/// Most receipts in one EDU.
const RECEIPTS: usize = 500;
/// The longest ID of a message to devices.
const MESSAGE_ID: usize = 255;

#[derive(Deserialize)]
struct Edu<'e> {
    edu_type: String,
    #[serde(borrow)]
    content: &'e RawValue,
}

#[derive(Deserialize)]
struct Typing {
    room_id: OwnedRoomId,
    user_id: OwnedUserId,
    typing: bool,
}

type Receipts = BTreeMap<OwnedRoomId, BTreeMap<String, BTreeMap<OwnedUserId, Receipt>>>;

#[derive(Deserialize)]
struct Receipt {
    #[serde(default)]
    data: ReceiptData,
    event_ids: Vec<OwnedEventId>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReceiptData {
    ts: u64,
    thread_id: Option<String>,
}

#[derive(Deserialize)]
struct Presences {
    push: Vec<Presence>,
}

#[derive(Deserialize)]
struct Presence {
    user_id: OwnedUserId,
    presence: String,
    status_msg: Option<String>,
    #[serde(default)]
    last_active_ago: u64,
    #[serde(default)]
    currently_active: bool,
}

#[derive(Deserialize)]
struct DeviceListUpdate {
    user_id: OwnedUserId,
    device_id: OwnedDeviceId,
    device_display_name: Option<String>,
    stream_id: u64,
    #[serde(default)]
    prev_id: Vec<u64>,
    #[serde(default)]
    deleted: bool,
    keys: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct SigningKeyUpdate {
    user_id: OwnedUserId,
    master_key: Option<Box<RawValue>>,
    self_signing_key: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct DirectToDevice {
    sender: OwnedUserId,
    #[serde(rename = "type")]
    event_type: String,
    message_id: String,
    messages: BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>>,
}

/// Takes the EDUs of a transaction, in their order.
pub(super) async fn take(
    app: &App,
    origin: &OwnedServerName,
    edus: &[Box<RawValue>],
) -> Result<(), Error> {
    for edu in edus {
        let Ok(edu) = serde_json::from_str::<Edu<'_>>(edu.get()) else {
            tracing::debug!(%origin, "an EDU is not well-formed");
            continue;
        };
        take_one(app, origin, &edu).await?;
    }
    Ok(())
}

async fn take_one(app: &App, origin: &OwnedServerName, edu: &Edu<'_>) -> Result<(), Error> {
    match edu.edu_type.as_str() {
        "m.typing" => match read(origin, edu) {
            Some(content) => typing(app, origin, content).await,
            None => Ok(()),
        },
        "m.receipt" => match read(origin, edu) {
            Some(content) => receipts(app, origin, content).await,
            None => Ok(()),
        },
        "m.presence" => match read(origin, edu) {
            Some(content) => presence(app, origin, content).await,
            None => Ok(()),
        },
        "m.device_list_update" => match read(origin, edu) {
            Some(content) => device_list(app, origin, content).await,
            None => Ok(()),
        },
        "m.signing_key_update" | "org.matrix.signing_key_update" => match read(origin, edu) {
            Some(content) => signing_keys(app, origin, content).await,
            None => Ok(()),
        },
        "m.direct_to_device" => match read(origin, edu) {
            Some(content) => to_devices(app, origin, content).await,
            None => Ok(()),
        },
        kind => {
            tracing::debug!(%origin, kind, "an EDU of an unknown kind");
            Ok(())
        }
    }
}

fn read<T: DeserializeOwned>(origin: &OwnedServerName, edu: &Edu<'_>) -> Option<T> {
    serde_json::from_str(edu.content.get())
        .inspect_err(
            |error| tracing::debug!(%origin, kind = edu.edu_type, %error, "an EDU makes no sense"),
        )
        .ok()
}

/// Whether a server may speak of a user.
fn speaks_of(origin: &OwnedServerName, user: &UserId) -> bool {
    user.server_name() == origin
}

async fn typing(app: &App, origin: &OwnedServerName, typing: Typing) -> Result<(), Error> {
    let Typing {
        room_id,
        user_id,
        typing,
    } = typing;
    let rooms = &app.house.rooms;
    rooms.edu_typing(origin, &room_id, &user_id, typing).await?;
    Ok(())
}

/// Only public read receipts travel between servers.
async fn receipts(app: &App, origin: &OwnedServerName, receipts: Receipts) -> Result<(), Error> {
    let all = receipts.into_iter().flat_map(|(room_id, mut kinds)| {
        let read = kinds.remove("m.read").unwrap_or_default();
        read.into_iter()
            .map(move |(user, receipt)| (room_id.clone(), user, receipt))
    });
    for (room_id, user, receipt) in all.take(RECEIPTS) {
        let receipt = ReceiptEdu {
            room_id,
            user,
            event_ids: receipt.event_ids,
            thread: receipt.data.thread_id,
            ts: receipt.data.ts,
        };
        app.house.rooms.edu_receipt(origin, receipt).await?;
    }
    Ok(())
}

async fn presence(app: &App, origin: &OwnedServerName, told: Presences) -> Result<(), Error> {
    let told = told.push.into_iter().take(PRESENCES);
    let told = told
        .filter(|one| speaks_of(origin, &one.user_id))
        .map(|one| {
            let presence = RemotePresence {
                state: PresenceState::from(one.presence),
                status: one.status_msg,
                last_active_ago: one.last_active_ago,
                currently_active: one.currently_active,
            };
            (one.user_id, presence)
        });
    Ok(app.house.users.receive_presence(told.collect()).await?)
}

async fn device_list(
    app: &App,
    origin: &OwnedServerName,
    update: DeviceListUpdate,
) -> Result<(), Error> {
    if !speaks_of(origin, &update.user_id) {
        return Ok(());
    }
    let change = RemoteChange {
        stream_id: update.stream_id,
        previous: update.prev_id,
        device: RemoteDevice {
            device_id: update.device_id,
            keys: update.keys.filter(|_| !update.deleted),
            display_name: update.device_display_name,
        },
    };
    Ok(remote_devices::changed(&app.house, &update.user_id, change).await?)
}

async fn signing_keys(
    app: &App,
    origin: &OwnedServerName,
    update: SigningKeyUpdate,
) -> Result<(), Error> {
    if !speaks_of(origin, &update.user_id) {
        return Ok(());
    }
    let SigningKeyUpdate {
        user_id,
        master_key,
        self_signing_key,
    } = update;
    let changed =
        remote_devices::signing_keys_changed(&app.house, &user_id, master_key, self_signing_key);
    Ok(changed.await?)
}

/// Only messages for users of ours: nothing is passed on.
async fn to_devices(
    app: &App,
    origin: &OwnedServerName,
    sent: DirectToDevice,
) -> Result<(), Error> {
    if !speaks_of(origin, &sent.sender) || sent.message_id.len() > MESSAGE_ID {
        return Ok(());
    }
    let once = Once::by_server(origin, &sent.sender, &sent.message_id);
    let mut contents = sent.messages;
    contents.retain(|user, _| app.house.is_local(user));
    let messages = Messages {
        sender: sent.sender,
        event_type: sent.event_type,
        contents,
        once: Some(once),
    };
    match app.house.users.send_to_devices(messages).await {
        // A message that is too much will be too much again.
        Err(users::Error::TooMany(_)) => Ok(()),
        sent => Ok(sent.map(drop)?),
    }
}
