#pragma once

#include <cstdint>
#include <string_view>

#include "base/core/result.h"
#include "base/net/http_head.h"

namespace tidegate {

/// What the head says about the bytes that follow it.
struct Framing {
  enum class Body : std::uint8_t { kNone, kSized, kChunked };
  Body body = Body::kNone;
  std::uint64_t content_length = 0;  ///< for kSized
  bool keep_alive = true;
  bool expects_continue = false;
};

/// What bodies may be.
enum class MediaTypes : std::uint8_t {
  kJson,  ///< of POST, PUT and PATCH: application/json and nothing else
  kAny,   ///< the handler looks
};

/// Refuses every request whose framing two parsers could read differently (architecture: the gateway's edge), and
/// what this API never serves. Pure. `body_max` in bytes.
///
/// Fails, all with Code::kInvalidArgument unless noted, by reason:
///   bad_host  bad_target  bad_transfer_encoding  te_with_length  bad_content_length  body_in_http10
///   bad_connection  bad_upgrade  bad_expect  method_not_allowed  unsupported_media_type  body_too_large (kOutOfRange)
Result<Framing> check_framing(const HeaderView& head, std::uint64_t body_max, MediaTypes types = MediaTypes::kJson);

/// check_framing without its answer.
Status strict_gate(const HeaderView& head);

/// HTTP status for an Error of parse_head, check_framing or the body reader: 400 unless the reason has its own
/// (405, 408, 413, 415, 417, 431, 505).
int refusal_status(const Error& error);

}  // namespace tidegate
