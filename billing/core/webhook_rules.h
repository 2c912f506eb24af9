#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/core/result.h"

/// What alerts may be sent to, and when a delivery is repeated. Pure.
namespace tidegate::billing {

inline constexpr std::size_t kWebhookUrlMax = 512;
/// About a day of growing pauses; then a delivery is left to people.
inline constexpr int kWebhookAttemptsMax = 30;

/// http or https, a host, no user or password in it. Whether the host may be called is decided by the address it
/// resolves to, at each delivery. Fails: invalid_argument/bad_webhook.
Status check_webhook_url(std::string_view url);

/// Whether an address is one of the public internet: not loopback, private, link-local, shared, reserved, multicast, nor
/// a translation of such a one. `bytes` are 4 (IPv4) or 16 (IPv6) in network order.
bool is_public_address(std::span<const std::uint8_t> bytes);

/// Pause after the n-th failed attempt (n >= 1): 5 s, doubling, at most an hour.
std::chrono::seconds webhook_pause(int attempts);

}  // namespace tidegate::billing
