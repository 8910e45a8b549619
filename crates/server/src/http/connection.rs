//! Connections: taking them, bounding them, and ending each so that its last reply is read.

use super::problem::{Kind, Problem};
use super::wire::Wire;
use super::{Site, routes};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

/// Connections that are being told that there are too many; beyond these they are only closed.
const TURNED_AWAY: usize = 64;
/// How long the end of a connection waits for the client to read and close.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes that the end of a connection reads and drops.
const LINGER_BYTES: usize = 64 * 1024 * 1024;
/// How long requests in progress may go on after a stop.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Takes connections until told to stop.
pub async fn accept(listener: TcpListener, site: Arc<Site>, mut stop: watch::Receiver<bool>) {
    let most = site.settings.bounds.connections;
    let (open, turned_away) = (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new(TURNED_AWAY)));
    let router = routes::router(&site);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                if let Ok(permit) = open.clone().try_acquire_owned() {
                    let (site, router, stop) = (site.clone(), router.clone(), stop.clone());
                    tokio::spawn(async move {
                        connection(stream, &site, router, stop).await;
                        drop(permit);
                    });
                } else if let Ok(permit) = turned_away.clone().try_acquire_owned() {
                    tokio::spawn(async move {
                        turn_away(stream, most).await;
                        drop(permit);
                    });
                }
            }
            // No file descriptors, or a connection that ended before it was taken.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    drop(listener);
    let all = u32::try_from(most).unwrap_or(u32::MAX);
    let _ = timeout(STOP_GRACE, open.acquire_many(all)).await;
}

/// Returns when it is time to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: nobody could tell us later.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn connection(stream: TcpStream, site: &Site, router: axum::Router, mut stop: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let bounds = site.settings.bounds;
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |request| Box::pin(service.call(request)));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_timeout)
        .max_header_size(bounds.head_bytes)
        .max_buf_size(bounds.head_bytes.max(64 * 1024));
    let mut conversation = builder.serve_connection(TokioIo::new(Wire::new(stream, bounds.stall_timeout)), service);
    let mut told = false;
    let outcome = loop {
        tokio::select! {
            outcome = poll_fn(|cx| conversation.poll_without_shutdown(cx)) => break outcome,
            () = stopped(&mut stop), if !told => {
                told = true;
                std::pin::Pin::new(&mut conversation).graceful_shutdown();
            }
        }
    };
    let parts = conversation.into_parts();
    let (unread, mut wire) = (parts.read_buf, parts.io.into_inner());
    if let Err(why) = outcome
        && let Some(problem) = last_problem(&why, wire.held_back(), !unread.is_empty())
    {
        let _ = timeout(LINGER, wire.stream().write_all(&problem.last_words())).await;
    }
    linger(wire.stream()).await;
}

/// What to say to a client whose request never reached a handler.
fn last_problem(why: &hyper::Error, status: Option<u16>, begun: bool) -> Option<Problem> {
    let problem = match status {
        Some(414) => Problem::new(Kind::UriTooLong, "the path and query have at most 65534 bytes"),
        Some(431) => Problem::new(Kind::HeadTooLarge, "the request line and headers are over the limit"),
        Some(_) => Problem::malformed(format!("this is no HTTP/1.1 request: {why}")),
        None if why.is_timeout() && begun => {
            Problem::new(Kind::Timeout, "the head of the request did not arrive in time")
        }
        None => return None,
    };
    Some(problem)
}

async fn turn_away(mut stream: TcpStream, most: usize) {
    let problem = Problem::new(Kind::Overloaded, format!("this node takes {most} HTTP connections at a time"));
    let _ = timeout(LINGER, stream.write_all(&problem.last_words())).await;
    linger(&mut stream).await;
}

/// Closes our side and reads what still comes: unread bytes would make the kernel reset the connection, and the client
/// would lose the reply.
async fn linger(stream: &mut TcpStream) {
    let drain = async {
        let _ = stream.shutdown().await;
        let mut sink = vec![0; 16 * 1024];
        let mut left = LINGER_BYTES;
        while let Ok(read) = stream.read(&mut sink).await
            && read > 0
            && left > 0
        {
            left = left.saturating_sub(read);
        }
    };
    let _ = timeout(LINGER, drain).await;
}
