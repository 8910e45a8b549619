//! x
fn main() {
    let config = quorate_server::config::Config::read(std::env::args().nth(1).expect("file")).expect("config");
    let server = quorate_server::server::Server::start(&config).expect("start");
    server.join().expect("join");
}
