#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/ids.h"
#include "base/core/money.h"
#include "base/core/result.h"
#include "base/price/price_book.h"

namespace tidegate::billing {

enum class UsageStatus : std::uint8_t { kCompleted, kCancelled, kInterrupted, kFailed };
std::string_view usage_status_name(UsageStatus status);
std::optional<UsageStatus> parse_usage_status(std::string_view name);

/// The client's signed receipt, as the gateway shipped it; base/receipt says what it is.
struct EventReceipt {
  std::string body;  ///< with its place in the chain; empty: none came
  std::array<std::uint8_t, 32> previous{};
  std::string key_id;
  std::string signature;
};

/// One finished request as a gateway reports it. The request id is the event's identity for ever.
struct UsageEvent {
  std::uint64_t sequence = 0;  ///< in (gateway, epoch), from 1
  RequestId request;
  TenantId tenant;
  ProjectId project;
  ApiKeyId key;
  WalletId wallet;
  LeaseId lease;                    ///< nil only when nothing is charged
  std::vector<LeaseId> cap_leases;  ///< each is charged the amount too
  std::string model;
  std::string variant;
  std::string region;
  std::string pool;
  std::string worker_id;
  std::string weights_digest;
  UsageStatus status = UsageStatus::kCompleted;
  std::string finish_reason;
  price::Instants instants;
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t reasoning_tokens = 0;
  std::int64_t price_version = 0;
  std::string band;
  Money amount;  ///< the gateway's rating
  bool is_stream = false;
  std::string surface;
  EventReceipt receipt;
  std::array<std::uint8_t, 32> payload_sha256{};  ///< of everything but the sequence
};

/// Sequences in one batch.
inline constexpr std::size_t kBatchEventsMax = 1000;
/// Leases of caps in one event: four scopes of three periods, and room.
inline constexpr std::size_t kCapLeasesMax = 16;
/// Tokens of one request: far above any context, far below overflow.
inline constexpr std::int64_t kTokensMax = 1'000'000'000'000;

/// Shape of one event by itself. Fails: invalid_argument/bad_event; Error::field is "events[<index>].<member>".
Status check_event(const UsageEvent& event, std::size_t index);

/// Rates the event with the version it names and compares band and amount with the gateway's.
/// `currency` is the wallet's. Fails: invalid_argument/{unknown_price, price_mismatch, rating_differs} and what
/// PriceBook::rate says.
Result<price::RatedRequest> rate_event(const price::PriceBook& book, const UsageEvent& event, std::string_view currency,
                                       std::size_t index);

}  // namespace tidegate::billing
