//! What the store promises, on the memory engine.

use crate::{Error, Store, tables};

#[tokio::test]
async fn a_write_is_read_back() {
    let store = Store::memory();
    let (_, _) = store
        .write(|tx| {
            tx.put(tables::META, "answer", &vec![42])?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    assert_eq!(
        store.snapshot().get(tables::META, "answer").unwrap(),
        Some(vec![42])
    );
}
