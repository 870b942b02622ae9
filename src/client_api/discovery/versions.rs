//! `GET /_matrix/client/versions`

use std::collections::BTreeMap;

use ruma::api::client::discovery::get_supported_versions::{Request, Response};
use web::{Matrix, Reply};

/// The releases of which everything is served that clients conclude from the number.
const VERSIONS: [&str; 15] = [
    "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10",
    "v1.11", "v1.12", "v1.13", "v1.14",
];

/// Flags that clients look for by name, each for something that is served. Some concern what is long stable: Element gates on the
/// flag and not on the version.
const FLAGS: [&str; 15] = [
    "com.beeper.msc4169",
    "org.matrix.e2e_cross_signing",
    "org.matrix.msc2285.stable",
    "org.matrix.msc3814",
    "org.matrix.msc3827.stable",
    "org.matrix.msc3916.stable",
    "org.matrix.msc3952_intentional_mentions",
    "org.matrix.msc4140",
    "org.matrix.msc4222",
    "org.matrix.msc4380.stable",
    "org.matrix.simplified_msc3575",
    "uk.half-shot.msc2666.query_mutual_rooms",
    "uk.half-shot.msc2666.query_mutual_rooms.stable",
    "uk.tcpip.msc4133",
    "uk.tcpip.msc4133.stable",
];

/// What is announced, the same for everybody.
pub(crate) async fn get(Matrix(_): Matrix<Request>) -> Reply<Response> {
    let mut response = Response::new(VERSIONS.map(str::to_owned).to_vec());
    response.unstable_features = FLAGS
        .iter()
        .map(|flag| ((*flag).to_owned(), true))
        .collect::<BTreeMap<_, _>>();
    Ok(response)
}
