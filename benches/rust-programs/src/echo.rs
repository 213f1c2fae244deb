//! What an echo server on tokio allocates: a task per connection, a buffer per message, channels between them.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;

/// `amount` times 100 connections of 50 messages each, 20 connections at a time; operations are messages.
pub fn run(amount: usize) -> usize {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be started").block_on(async {
        let mut messages = 0;
        for _ in 0..amount * 5 {
            let connections: Vec<_> = (0..20).map(|seed| tokio::spawn(connection(seed))).collect();
            for connection in connections {
                messages += connection.await.expect("no connection panics");
            }
        }
        messages
    })
}

/// A client and the server's side of one connection, over a pipe in memory: no network in the measurement.
async fn connection(seed: usize) -> usize {
    let (client, server) = duplex(4096);
    let serving = tokio::spawn(serve(server));
    let echoed = talk(client, seed).await;
    serving.await.expect("the server's side does not panic");
    echoed
}

async fn serve(stream: DuplexStream) {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let (sender, mut receiver) = mpsc::channel::<Bytes>(8);
    let answering = tokio::spawn(async move {
        while let Some(message) = receiver.recv().await {
            if writing.write_all(&message).await.is_err() {
                return;
            }
        }
    });
    loop {
        let mut buffer = BytesMut::with_capacity(2048);
        match reading.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) if sender.send(buffer.freeze()).await.is_err() => break,
            Ok(_) => {}
        }
    }
    drop(sender);
    answering.await.expect("the answering task does not panic");
}

async fn talk(mut stream: DuplexStream, seed: usize) -> usize {
    for message in 0..50 {
        let sent = format!("message {message} of {seed}: {}", "y".repeat((seed * 37 + message * 91) % 1500));
        stream.write_all(sent.as_bytes()).await.expect("the server reads");
        let mut answer = vec![0; sent.len()];
        stream.read_exact(&mut answer).await.expect("the server answers");
        assert_eq!(answer, sent.as_bytes());
    }
    50
}
