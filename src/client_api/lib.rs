//! /_matrix/client and /_matrix/media: a file per endpoint.
