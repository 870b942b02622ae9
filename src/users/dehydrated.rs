//! Dehydrated devices: a device without a client, which gathers room keys for whoever comes next (MSC3814). A user has one
//! at most; it is among their devices, has keys and an inbox, but no session.

use ruma::{DeviceId, OwnedDeviceId, UserId};
use serde_json::value::RawValue;
use store::rows::users::{Dehydrated as Row, Device};
use store::tables::{DEHYDRATED, DEVICES};
use store::{Json, Pos, Snapshot, Tx, UserNo};

use crate::device_keys::KeyUpload;
use crate::{Error, Users, What, device_keys, devices, to_device};

/// Largest secret part of a dehydrated device.
const LIMIT: usize = 256 * 1024;
/// Messages of one page.
const PAGE: usize = 100;

/// A device to be dehydrated.
#[derive(Debug, Clone)]
pub struct Dehydration {
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// What to call it.
    pub display_name: Option<String>,
    /// Its encrypted secrets.
    pub data: Box<RawValue>,
    /// Its public keys.
    pub keys: KeyUpload,
}

/// A page of the messages of a dehydrated device.
#[derive(Debug, Clone)]
pub struct DehydratedEvents {
    /// The messages, as events.
    pub events: Vec<Json>,
    /// Where the next page begins.
    pub next_batch: String,
}

/// A user's dehydrated device, if it still is one.
fn get(s: &Snapshot, user: UserNo) -> Result<Option<Row>, Error> {
    let Some(row) = s.get(DEHYDRATED, &user)? else {
        return Ok(None);
    };
    let device = s.get(DEVICES, &(user, row.device.as_str()))?;
    Ok(device
        .is_some_and(|device| device.dehydrated)
        .then_some(row))
}

/// Forgets that there was one; its device goes with the others.
pub(crate) fn forget(tx: &mut Tx, user: UserNo) {
    tx.delete(DEHYDRATED, &user);
}

impl Users {
    /// Dehydrates a device, in place of an earlier one.
    pub async fn put_dehydrated(&self, user: &UserId, wanted: Dehydration) -> Result<(), Error> {
        if wanted.data.get().len() > LIMIT {
            return Err(Error::TooLarge("the dehydrated device"));
        }
        if wanted.keys.device_keys.is_none() {
            return Err(Error::MissingParam("device_keys"));
        }
        let no = self.local_no(user)?;
        let device_id = self.device_for(Some(wanted.device_id))?;
        let keys = device_keys::check(user, &device_id, &wanted.keys)?;
        let row = Row {
            device: device_id.as_str().to_owned(),
            data: Box::<str>::from(wanted.data).into(),
        };
        let device = Device {
            display_name: wanted.display_name.as_deref().map(devices::shorten),
            created: self.now(),
            dehydrated: true,
        };
        let (users, user) = (self.clone(), user.to_owned());
        self.in_lane(no, async move {
            let _sessions = users.inner.sessions.changing(no);
            let _counts = users.inner.counts.changing(no);
            // First the old one goes, in a batch of its own: between the two a user merely has none.
            let new = device_id.clone();
            users
                .write(move |tx| match get(tx, no)? {
                    Some(old) if old.device != new.as_str() => {
                        devices::remove_these(tx, no, &[old.device.into()])
                    }
                    _ => Ok(()),
                })
                .await?;
            users
                .write(move |tx| {
                    let place = (no, row.device.as_str());
                    if tx
                        .get_for_update(DEVICES, &place)?
                        .is_some_and(|there| !there.dehydrated)
                    {
                        return Err(Error::InvalidParam("this device is logged in".to_owned()));
                    }
                    tx.put(DEVICES, &place, &device)?;
                    tx.put(DEHYDRATED, &no, &row)?;
                    device_keys::put(tx, no, &user, &row.device, &keys).map(|_| ())
                })
                .await
        })
        .await
    }

    /// A user's dehydrated device, and its encrypted secrets.
    pub async fn dehydrated(&self, user: &UserId) -> Result<(OwnedDeviceId, Box<RawValue>), Error> {
        let no = self.local_no(user)?;
        let row = self
            .read(move |s| get(s, no))
            .await?
            .ok_or(Error::NotFound(What::Dehydrated))?;
        let data =
            RawValue::from_string(row.data).map_err(|_| Error::Damaged("dehydrated device"))?;
        Ok((row.device.into(), data))
    }

    /// Removes a user's dehydrated device, and says which it was.
    pub async fn delete_dehydrated(&self, user: &UserId) -> Result<OwnedDeviceId, Error> {
        let no = self.local_no(user)?;
        let users = self.clone();
        self.in_lane(no, async move {
            let _counts = users.inner.counts.changing(no);
            users
                .write(move |tx| {
                    let device: OwnedDeviceId = get(tx, no)?
                        .ok_or(Error::NotFound(What::Dehydrated))?
                        .device
                        .into();
                    devices::remove_these(tx, no, std::slice::from_ref(&device))?;
                    forget(tx, no);
                    Ok(device)
                })
                .await
        })
        .await
    }

    /// What has been sent to a user's dehydrated device, a page at a time.
    pub async fn dehydrated_events(
        &self,
        user: &UserId,
        device: &DeviceId,
        from: Option<&str>,
    ) -> Result<DehydratedEvents, Error> {
        let after = match from {
            Some(from) => Pos::new(
                from.parse()
                    .map_err(|_| Error::InvalidParam("this is not a batch token".to_owned()))?,
            ),
            None => Pos::ZERO,
        };
        let (no, device) = (self.local_no(user)?, device.to_owned());
        self.read(move |s| {
            if get(s, no)?.is_none_or(|row| row.device != device.as_str()) {
                return Err(Error::NotFound(What::Dehydrated));
            }
            let page = to_device::pending(s, no, device.as_str(), after, Pos::MAX, PAGE)?;
            let next = page.last().map_or(after, |(pos, _)| *pos);
            let events = page.into_iter().map(|(_, event)| event).collect();
            Ok(DehydratedEvents {
                events,
                next_batch: next.to_string(),
            })
        })
        .await
    }
}
