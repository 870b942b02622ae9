//! The content repository: uploads, downloads and thumbnails.
