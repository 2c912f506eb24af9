#pragma once

namespace tidegate::billing {

/// Of a gateway's epoch, and holds it open until the transaction ends. No row: unknown.
inline constexpr const char* kEpochIsOpen = R"sql(
  SELECT closed_at IS NULL FROM epochs WHERE gateway_id = $1 AND epoch = $2 FOR KEY SHARE)sql";
/// Among how many gateways a wallet, or a cap, is shared out.
inline constexpr const char* kOpenGateways = "SELECT count(DISTINCT gateway_id) FROM epochs WHERE closed_at IS NULL";

}  // namespace tidegate::billing
