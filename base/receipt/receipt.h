#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/money.h"
#include "base/core/result.h"
#include "base/crypto/sha256.h"
#include "base/receipt/envelope.h"

/// What one answer cost and why, signed by the gateway that gave it. Pure: bytes in, bytes out.
///
///   body     = "TGR1" and the fields below, in their order (fields.h)
///   link     = SHA-256(body): what the next receipt of the same (gateway, epoch) names as `previous`
///   receipt  = body | key id | Ed25519(body | key id), or one of a group under one signature (envelope.h)
///
/// The link covers the body only, so that a receipt signed again, alone or after a key was rotated, stays in its chain.
namespace tidegate::receipt {

inline constexpr std::string_view kMagic = "TGR1";
inline constexpr std::size_t kLinesMax = 32;
/// The place alone; every body has more.
inline constexpr std::size_t kBodyBytesMin = 48;

enum class ReceiptStatus : std::uint8_t { kCompleted = 1, kCancelled = 2, kInterrupted = 3, kFailed = 4 };
enum class PriceBasis : std::uint8_t { kCompletedAt = 1, kAdmittedAt = 2, kStartedAt = 3 };
std::string_view name_of(ReceiptStatus status);
std::string_view name_of(PriceBasis basis);

/// One line of the bill. Without `terms`, amount = quantity x rate exactly.
struct Line {
  std::string meter;
  std::int64_t quantity = 0;  ///< tokens
  Rate rate;
  std::string terms;  ///< a tier, discount or promotion that changed it; empty: none
  Money amount;
  bool operator==(const Line&) const = default;
};

struct Receipt {
  std::uint64_t sequence = 0;  ///< 1..n within (gateway, epoch)
  Digest previous{};           ///< link of sequence - 1; zeros for the first
  std::string gateway_id;
  std::uint64_t epoch = 0;
  std::string deployment;  ///< the installation's name
  RequestId request;
  TenantId tenant;
  ProjectId project;
  std::string caller;          ///< public part of the API key
  std::string model;           ///< as priced
  std::string variant;         ///< that served
  std::string weights_digest;  ///< of the weights that served, "sha256:<hex>"
  std::string region;
  std::string pool;
  ReceiptStatus status = ReceiptStatus::kCompleted;
  std::string finish_reason;
  std::int64_t prompt_tokens = 0;  ///< cached ones included
  std::int64_t cached_tokens = 0;
  std::int64_t completion_tokens = 0;  ///< reasoning included
  std::int64_t reasoning_tokens = 0;
  std::int64_t admitted_us = 0;
  std::int64_t started_us = 0;
  std::int64_t completed_us = 0;
  PriceBasis basis = PriceBasis::kCompletedAt;
  std::int64_t priced_us = 0;  ///< the instant that decided the price
  std::string price_book;
  std::int64_t price_version = 0;
  std::string band;
  std::string currency;
  std::vector<Line> lines;
  Money amount;

  bool operator==(const Receipt&) const = default;
};

/// Texts longer than kTextBytesMax are cut and what cannot be printed becomes '?', on both sides alike.
std::string encode_body(const Receipt& receipt);
/// Fails: invalid_argument/bad_receipt naming the field.
Result<Receipt> decode_body(std::string_view body);

/// Writes sequence and previous into a body made without them: they are known last.
void set_position(std::string& body, std::uint64_t sequence, const Digest& previous);
Digest link_of(std::string_view body);

struct SignedReceipt {
  Envelope envelope;
  Receipt receipt;
};
/// Reads, does not verify. Fails: invalid_argument/bad_receipt naming the field.
Result<SignedReceipt> decode_signed(std::string_view bytes);

}  // namespace tidegate::receipt
