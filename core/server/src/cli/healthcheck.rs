//! `postrider healthcheck`: checks that the server with these settings answers. For containers, which have no shell and no curl.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use ipnet::IpNet;
use reqwest::Method;

use egress::{Egress, Outgoing};
use engine::config::Settings;

/// Shorter than the timeout of the image's HEALTHCHECK (5 s), so that the reason is printed.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Requests `/healthz` and not `/readyz`: a restart during an outage of the database would lose the results of deliveries in flight.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let address = own_address(&settings.listen).await?;
    let url = format!("http://{address}/healthz");
    let client = Egress::new(vec![IpNet::from(address.ip())])?;
    let request = Outgoing { method: Method::GET, url: url.clone(), headers: Vec::new(), body: None };
    let answer = client.send(request, TIMEOUT).await.with_context(|| format!("no server answers at {address}"))?;
    ensure!(answer.status == 200, "{url} answered {} instead of 200", answer.status);
    Ok(())
}

/// The address at which this machine reaches a server that listens on `listen`: loopback for the unspecified address.
async fn own_address(listen: &str) -> anyhow::Result<SocketAddr> {
    let mut address = tokio::net::lookup_host(listen)
        .await
        .with_context(|| format!("{listen} is not an address with a port"))?
        .next()
        .with_context(|| format!("{listen} has no address"))?;
    ensure!(address.port() != 0, "{listen} lets the system choose a port; set POSTRIDER_LISTEN to a fixed port");
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn every_address_is_reached_over_loopback() {
        for (listen, reached) in
            [("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:80", "[::1]:80"), ("10.1.2.3:8080", "10.1.2.3:8080")]
        {
            assert_eq!(super::own_address(listen).await.unwrap().to_string(), reached);
        }
        assert!(super::own_address("127.0.0.1:0").await.is_err());
    }
}
