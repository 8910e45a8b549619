//! A load generator for etcd: gRPC over HTTP/2, one connection per client, requests built by hand. Only what a put and
//! a range need, so that it costs the machine as little as it can.

use super::measure::{Load, Operation, Sample, percentiles};
use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::Request;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Drives one endpoint, `HOST:PORT`.
pub fn drive(address: &str, load: &Load) -> Result<Sample, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let end = Instant::now() + Duration::from_secs(load.seconds);
    let tasks = tokio::task::LocalSet::new();
    let outcome: Result<Vec<Vec<u64>>, Failure> = tasks.block_on(&runtime, async {
        let clients = (0..load.clients).map(|id| tokio::task::spawn_local(client(address.to_owned(), *load, id, end)));
        let clients: Vec<_> = clients.collect();
        let mut all = Vec::new();
        for client in clients {
            all.push(client.await??);
        }
        Ok(all)
    });
    let latencies = outcome.map_err(|error| format!("etcd: {error}"))?.concat();
    Ok(percentiles(latencies, load.seconds as f64))
}

/// One put; for waiting until the cluster serves.
pub fn put_once(address: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let outcome: Result<(), Failure> = runtime.block_on(async {
        let once = async {
            let mut sender = connect(address).await?;
            call(&mut sender, address, &put(0, 1)).await
        };
        tokio::time::timeout(Duration::from_millis(500), once).await?
    });
    outcome.map_err(|error| error.to_string())
}

async fn client(address: String, load: Load, id: usize, end: Instant) -> Result<Vec<u64>, Failure> {
    let mut sender = connect(&address).await?;
    let mut random = 0x9E37_79B9_7F4A_7C15u64 ^ (id as u64 + 1);
    let mut latencies = Vec::new();
    while Instant::now() < end {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let key = random % load.keys;
        let message = match load.operation {
            Operation::Set => put(key, load.size),
            Operation::Get => range(key),
            Operation::Incr | Operation::Sadd => return Err("etcd has no counters and no sets".into()),
        };
        let start = Instant::now();
        call(&mut sender, &address, &message).await?;
        latencies.push(start.elapsed().as_nanos() as u64);
    }
    Ok(latencies)
}

async fn connect(address: &str) -> Result<SendRequest<Bytes>, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender.ready().await?)
}

struct Message {
    path: &'static str,
    body: Bytes,
}

async fn call(sender: &mut SendRequest<Bytes>, address: &str, message: &Message) -> Result<(), Failure> {
    let request = Request::post(format!("http://{address}{}", message.path))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let ready = sender.clone().ready().await?;
    *sender = ready;
    let (response, mut body) = sender.send_request(request, false)?;
    body.send_data(message.body.clone(), true)?;
    let mut reply = response.await?.into_body();
    while let Some(data) = reply.data().await {
        let length = data?.len();
        reply.flow_control().release_capacity(length)?;
    }
    let trailers = reply.trailers().await?;
    match trailers.as_ref().and_then(|trailers| trailers.get("grpc-status")).map(|status| status.as_bytes()) {
        Some(b"0") => Ok(()),
        status => Err(format!("grpc-status {:?}", status.map(String::from_utf8_lossy)).into()),
    }
}

/// `PutRequest { key = 1, value = 2 }`.
fn put(key: u64, size: usize) -> Message {
    let mut body = BytesMut::new();
    field(&mut body, 1, format!("key:{key:012}").as_bytes());
    field(&mut body, 2, &vec![b'x'; size]);
    Message { path: "/etcdserverpb.KV/Put", body: framed(&body) }
}

/// `RangeRequest { key = 1 }`, linearizable unless asked otherwise.
fn range(key: u64) -> Message {
    let mut body = BytesMut::new();
    field(&mut body, 1, format!("key:{key:012}").as_bytes());
    Message { path: "/etcdserverpb.KV/Range", body: framed(&body) }
}

/// A field of bytes in protocol buffers.
fn field(out: &mut BytesMut, number: u8, bytes: &[u8]) {
    out.put_u8(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.put_u8(length as u8 | 0x80);
        length >>= 7;
    }
    out.put_u8(length as u8);
    out.put_slice(bytes);
}

/// A message in gRPC: not compressed, length, body.
fn framed(body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len() + 5);
    out.put_u8(0);
    out.put_u32(body.len() as u32);
    out.put_slice(body);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_protocol_buffers_want_them() {
        let message = put(7, 200);
        assert_eq!(&message.body[..7], &[0, 0, 0, 0, 221, 0x0A, 16]);
        assert_eq!(&message.body[7..23], b"key:000000000007");
        assert_eq!(&message.body[23..26], &[0x12, 200, 1]);
        assert_eq!(message.body.len(), 5 + 221);
    }
}
