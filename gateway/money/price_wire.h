#pragma once

#include "base/price/modifier.h"
#include "base/price/price_version.h"
#include "tidegate/v1/billing.pb.h"

namespace tidegate::gateway {

/// Published versions as billing sends them. Judged by price::PriceBook::build().
/// Fails: invalid_argument/bad_price.
Result<price::PriceVersion> price_version_from_wire(const v1::PriceVersion& wire);
Result<price::Modifier> modifier_from_wire(const v1::PriceModifier& wire);
Result<price::Calendar> calendar_from_wire(const v1::HolidayCalendar& wire);

}  // namespace tidegate::gateway
