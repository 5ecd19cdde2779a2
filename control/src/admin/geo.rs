//! `/v1/geo/{ip}`: where an address is taken to be, and who said so.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::extract::At;
use super::kinds::problems;
use super::problem::Problem;
use crate::explain::{GeoDatabase, Whereabouts};

/// Where an address is taken to be.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Located {
    /// The address, as it was understood: one of IPv4 inside IPv6 is one of IPv4.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Where that is, and what told.
    pub place: Whereabouts,
    /// The databases that were asked, in this order, after the operator's prefixes and before what is built in.
    pub databases: Vec<GeoDatabase>,
}

problems!(
    /// Of looking.
    Looking = ANY, "bad-path", "bad-address"
);

/// Where an address is taken to be, and who said so
#[utoipa::path(get, path = "/v1/geo/{ip}", tag = "geo", operation_id = "locate",
    params(("ip" = String, Path, description = "An IPv4 or IPv6 address.", example = json!("81.2.69.142"))),
    responses((status = 200, description = "Where it is.", body = Located), Looking))]
pub(super) async fn show(State(admin): Shared, At(ip): At<String>) -> Result<Json<Located>, Problem> {
    let address: IpAddr = ip.parse().map_err(|_| {
        let detail = format!("{ip:?} is not an IP address");
        Problem::field("bad-address", "ip", detail, "/v1/geo/81.2.69.142".into())
    })?;
    let address = address.to_canonical();
    let (_, place) = admin.locator.locate(address);
    Ok(Json(Located { address, place, databases: admin.locator.databases() }))
}
