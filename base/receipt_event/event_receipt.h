#pragma once

#include <cstdint>
#include <string>

#include "base/core/result.h"
#include "base/receipt/receipt.h"
#include "tidegate/v1/billing.pb.h"

namespace tidegate {

/// The receipt of a usage event, as its client has it: one function for the gateway that signs and for billing that
/// checks. The event's own sequence and ReceiptPart.previous count.
/// Fails: invalid_argument/bad_receipt or bad_amount when an id, amount or link cannot be read.
Result<receipt::Receipt> receipt_of(const v1::UsageEvent& event, const std::string& gateway_id, std::uint64_t epoch);

}  // namespace tidegate
