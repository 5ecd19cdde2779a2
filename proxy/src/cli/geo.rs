//! `nearside geo`: where an address is taken to be, and who said so.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;
use control::admin::Located;
use control::explain::Whereabouts;

use super::look::{LookArgs, look};
use super::sheet::facts;

#[derive(Args, Debug)]
pub(super) struct GeoArgs {
    /// An IPv4 or IPv6 address
    ip: IpAddr,
    #[command(flatten)]
    look: LookArgs,
}

pub(super) fn geo(args: &GeoArgs) -> ExitCode {
    look(&args.look, &format!("/v1/geo/{}", args.ip), |Located { address, place, databases }: &Located| {
        let databases: Vec<String> = databases
            .iter()
            .map(|database| format!("{} of {:.0}", database.file, database.built_at))
            .collect();
        facts([
            ("address", address.to_string()),
            ("country", country(place)),
            ("place", coordinates(place)),
            ("source", place.source.clone()),
            ("databases", databases.join(", ")),
        ])
    })
}

pub(super) fn country(place: &Whereabouts) -> String {
    place.country.map_or_else(|| "country unknown".to_owned(), |country| country.to_string())
}

pub(super) fn coordinates(place: &Whereabouts) -> String {
    match (place.latitude, place.longitude) {
        (Some(latitude), Some(longitude)) => {
            let vague = if place.country_only { ", the centre of its population" } else { "" };
            let radius = place.accuracy_km.map_or_else(String::new, |km| format!(" within {km:.0} km"));
            format!("{latitude:.2}, {longitude:.2}{radius}{vague}")
        }
        _ => "place unknown".to_owned(),
    }
}
