#include "gateway/core/trace_context.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "base/core/encoding.h"

namespace tidegate::gateway {
namespace {

// version "-" trace-id "-" parent-id "-" flags
constexpr std::size_t kVersionDigits = 2;
constexpr std::size_t kTraceDigits = 32;
constexpr std::size_t kSpanDigits = 16;
constexpr std::size_t kFlagsDigits = 2;
constexpr std::size_t kLength = kVersionDigits + 1 + kTraceDigits + 1 + kSpanDigits + 1 + kFlagsDigits;

bool is_lower_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}
bool is_id(std::string_view text) {
  return is_lower_hex(text) && !std::ranges::all_of(text, [](char c) { return c == '0'; });
}

struct Parent {
  std::string_view trace_id;
  bool is_sampled = false;
};

std::optional<Parent> parse_traceparent(std::string_view text) {
  if (text.size() < kLength) return std::nullopt;
  const std::string_view version = text.substr(0, kVersionDigits);
  if (!is_lower_hex(version) || version == "ff") return std::nullopt;
  // A later version may say more behind a dash; this one says nothing more.
  if (text.size() > kLength && (version == "00" || text[kLength] != '-')) return std::nullopt;
  const std::size_t trace_at = kVersionDigits + 1;
  const std::size_t span_at = trace_at + kTraceDigits + 1;
  const std::size_t flags_at = span_at + kSpanDigits + 1;
  if (text[trace_at - 1] != '-' || text[span_at - 1] != '-' || text[flags_at - 1] != '-') return std::nullopt;
  Parent parent;
  parent.trace_id = text.substr(trace_at, kTraceDigits);
  const std::string_view flags = text.substr(flags_at, kFlagsDigits);
  if (!is_id(parent.trace_id) || !is_id(text.substr(span_at, kSpanDigits)) || !is_lower_hex(flags)) return std::nullopt;
  const char last = flags.back();
  const int low = last <= '9' ? last - '0' : last - 'a' + 10;
  parent.is_sampled = (low & 1) != 0;
  return parent;
}

}  // namespace

TraceContext join_trace(std::string_view sent, const RequestId& request) {
  const std::string own = hex_encode(request.uuid.raw());
  const auto parent = parse_traceparent(sent);
  TraceContext trace;
  trace.trace_id = parent ? std::string(parent->trace_id) : own;
  trace.traceparent = "00-" + trace.trace_id + "-" + own.substr(kTraceDigits - kSpanDigits) +
                      (parent && parent->is_sampled ? "-01" : "-00");
  return trace;
}

}  // namespace tidegate::gateway
