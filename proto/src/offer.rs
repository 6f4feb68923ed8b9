//! What a worker offers.

use spec::job::Device;
use spec::offer::Offer;

use crate::error::Error;
use crate::v1;

impl From<Offer> for v1::Offer {
    fn from(offer: Offer) -> Self {
        let Device::Cpu = offer.device;
        v1::Offer {
            device: "cpu".to_string(),
            device_class: offer.device_class,
            threads: offer.threads,
            memory_bytes: offer.memory_bytes,
        }
    }
}

impl TryFrom<v1::Offer> for Offer {
    type Error = Error;

    fn try_from(offer: v1::Offer) -> Result<Self, Error> {
        if offer.device != "cpu" {
            return Err(Error::unreadable(
                "offer.device",
                format!("\"{}\" is not a kind of device", offer.device),
            ));
        }
        Ok(Offer {
            device: Device::Cpu,
            device_class: offer.device_class,
            threads: offer.threads,
            memory_bytes: offer.memory_bytes,
        })
    }
}
